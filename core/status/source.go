package status

import (
	"encoding/json"
	"time"
)

// Source is what is known about a source.
type Source struct {
	Name string
	// Via is the name of the source that does the work, where Name is that of one
	// which chooses another ([driver.Chooser]); else "".
	Via string
	// Watching says that every commit is being reported, Since when that or
	// its contrary began, Err why it is not so.
	Watching bool
	Since    time.Time
	Err      error
	// Reports counts the calls of Report and Confirm, Failures the losses.
	Reports, Failures uint64
	// Found counts the rows that were read to differ and that this source was the
	// first to report. Beside a source that sees everything at once, a slower one
	// finds nothing: what it finds, the other has missed.
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
