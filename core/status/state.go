package status

// State says how current a binding's rows are.
type State uint8

// The states of a binding.
const (
	// Loading means that no rows have been read yet.
	Loading State = iota
	// Live means that the rows are current, and that all sources that cover the table are
	// watching.
	Live
	// Stale means that the rows may be old: the database could not be read lately, or a
	// source does not see changes. The binding recovers by itself.
	Stale
	// Ended means that the binding was removed or the registry shut down.
	Ended
	// Restored means that rows saved by an earlier run are served, because the database has
	// not been read since the start. The state becomes Live, or Stale, by itself.
	Restored
)

// String returns the state's name in lower case.
func (s State) String() string {
	switch s {
	case Loading:
		return "loading"
	case Live:
		return "live"
	case Stale:
		return "stale"
	case Ended:
		return "ended"
	case Restored:
		return "restored"
	}
	return "unknown"
}

// MarshalText encodes the state as its name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
