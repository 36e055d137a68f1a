package status

import "time"

// Source is what is known about a source.
type Source struct {
	Name string
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
