// Package paging cuts lists into pages, and links each page to its neighbours
// (RFC 8288). A page begins at an offset, or after a row: a cursor names the
// position of that row, and stays valid while other rows come and go.
package paging
