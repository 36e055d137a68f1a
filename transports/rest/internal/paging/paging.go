package paging

// Window is the part of a list that a page shows, in rows.
type Window struct{ Limit, Offset int }
