package status

// Origin is the status of following another node: the totals of all bindings since the
// program started. Counters that the follower does not keep are zero.
type Origin struct {
	// Name names the origin, without secrets. It is the Database of the tables of the
	// bindings that follow it.
	Name string `json:"name"`
	// Steps counts the batches that led to a version, Syncs those of them with all rows.
	Steps uint64 `json:"steps"`
	Syncs uint64 `json:"syncs"`
	// Mismatches counts the versions whose token differed from the origin's. They were not
	// shown; each was followed by a sync.
	Mismatches uint64 `json:"mismatches"`
	// Resyncs counts the requests for all rows after inconsistent messages, including
	// mismatches. Snapshots counts how often a binding started from a snapshot published by
	// the origin, for any reason.
	Resyncs   uint64 `json:"resyncs"`
	Snapshots uint64 `json:"snapshots"`
	// Connects counts the opened streams, Failures those that broke or could not be opened.
	Connects uint64 `json:"connects"`
	Failures uint64 `json:"failures"`
	// Bytes counts the content of events, in bytes of JSON.
	Bytes uint64 `json:"bytes"`
}
