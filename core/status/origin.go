package status

// Origin is how another node's bindings are followed: what came from it for all bindings
// together, since the program started. Counters that its source does not keep are zero.
type Origin struct {
	// Name names the origin, without what may be secret.
	Name string `json:"name"`
	// Steps counts the batches that led to a version, Syncs those of them that brought
	// all rows.
	Steps uint64 `json:"steps"`
	Syncs uint64 `json:"syncs"`
	// Mismatches counts the versions whose token was not the origin's. Each was followed
	// by a sync, and none was shown.
	Mismatches uint64 `json:"mismatches"`
	// Resyncs counts how often all rows were asked for because something made no sense,
	// mismatches among it, and Snapshots how often a binding began with a snapshot that
	// the origin had published, for whatever reason.
	Resyncs   uint64 `json:"resyncs"`
	Snapshots uint64 `json:"snapshots"`
	// Connects counts streams that were opened, Failures those that broke or could not
	// be.
	Connects uint64 `json:"connects"`
	Failures uint64 `json:"failures"`
	// Bytes counts what events held, in bytes of JSON.
	Bytes uint64 `json:"bytes"`
}
