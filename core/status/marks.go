package status

// Marks holds the counters of a registry's marks. All but Waiting only grow.
type Marks struct {
	// Made counts the marks made. Omitted counts how often a source could not add its part,
	// or parts did not fit: other nodes may not understand such marks.
	Made    uint64 `json:"made"`
	Omitted uint64 `json:"omitted"`
	// Asked counts the waits for marks that were not already known to be reached. Waiting
	// is the number of present waits.
	Asked   uint64 `json:"asked"`
	Waiting int    `json:"waiting"`
	// Foreign counts the waits for marks that this node cannot interpret, Unreached those
	// given up, and Refused those refused because too many were waiting.
	Foreign   uint64 `json:"foreign"`
	Unreached uint64 `json:"unreached"`
	Refused   uint64 `json:"refused"`
}
