package status

// Memory is what a registry's bindings keep in memory, in bytes, as it estimates it.
type Memory struct {
	// Limit is the budget, 0 when there is none, Total what is kept.
	Limit int64 `json:"limit"`
	Total int64 `json:"total"`
	// Bytes is what is kept by kind: rows (Go values), encodings, members (where
	// each row of each binding stands), margins, logs and bodies (with pages and
	// frames). What several bindings share is counted once.
	Bytes map[string]int64 `json:"bytes"`
	// Dropped counts how often a binding was made to forget its bodies, Evicted the
	// members that nobody used and that made room, and Refused the members for which
	// there was no room.
	Dropped uint64 `json:"dropped"`
	Evicted uint64 `json:"evicted"`
	Refused uint64 `json:"refused"`
}
