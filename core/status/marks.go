package status

// Marks is what is known about the marks of a registry. All counters only grow.
type Marks struct {
	// Made counts the marks that were made. Omitted counts the times that a source
	// could not add its part, or that parts did not fit: other nodes understand such
	// marks less.
	Made    uint64 `json:"made"`
	Omitted uint64 `json:"omitted"`
	// Asked counts the marks that were waited for, each time that one was and was not
	// known to be reached. Waiting is how many are waited for now.
	Asked   uint64 `json:"asked"`
	Waiting int    `json:"waiting"`
	// Foreign counts those of Asked that say nothing here, Unreached those that were
	// given up, and Refused those that were not waited for because too many were.
	Foreign   uint64 `json:"foreign"`
	Unreached uint64 `json:"unreached"`
	Refused   uint64 `json:"refused"`
}
