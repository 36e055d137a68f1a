package status

// Memory is the estimated memory of a registry's bindings, in bytes.
type Memory struct {
	// Limit is the budget, 0 for none. Total is the memory in use.
	Limit int64 `json:"limit"`
	Total int64 `json:"total"`
	// Bytes is the memory in use by kind, under the names of live.Kind: rows (Go values),
	// encodings, members (their trees of pointers to rows), margins, logs, bodies (with
	// pages and frames), backlog (of feeds) and clients. What several bindings share counts
	// once.
	Bytes map[string]int64 `json:"bytes"`
	// Dropped counts how often a binding's bodies were dropped, Evicted the unused members
	// that made room, and Refused the members for which there was no room.
	Dropped uint64 `json:"dropped"`
	Evicted uint64 `json:"evicted"`
	Refused uint64 `json:"refused"`
}
