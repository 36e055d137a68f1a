package status

import (
	"encoding/json"
	"time"
)

// Source is the status of a source.
type Source struct {
	Name string
	// Via is the name of the source chosen to do the work when Name is a chooser
	// ([driver.Chooser]); otherwise "".
	Via string
	// Watching says that every commit is being reported. Since is when it last changed, and
	// Err is why it is false.
	Watching bool
	Since    time.Time
	Err      error
	// Reports counts the calls of Report and Confirm, Failures how often the source stopped
	// watching unexpectedly.
	Reports, Failures uint64
	// Found counts the changed rows that this source reported before any other did. Beside
	// a source that sees everything at once, a slower one should find nothing: the other
	// has missed whatever it finds.
	Found uint64
}

// MarshalJSON encodes the error as its text.
func (s Source) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Name     string    `json:"name"`
		Via      string    `json:"via,omitempty"`
		Watching bool      `json:"watching"`
		Since    time.Time `json:"since"`
		Error    string    `json:"error,omitempty"`
		Reports  uint64    `json:"reports"`
		Failures uint64    `json:"failures"`
		Found    uint64    `json:"found"`
	}{s.Name, s.Via, s.Watching, s.Since, textOf(s.Err), s.Reports, s.Failures, s.Found})
}
