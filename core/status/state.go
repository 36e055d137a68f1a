package status

// State says how far a binding's rows can be trusted.
type State uint8

// The states of a binding.
const (
	// Loading: no rows have been read yet.
	Loading State = iota
	// Live: rows are current, and all sources that cover the table watch for
	// change.
	Live
	// Stale: rows are served from memory, but the database could not be read
	// of late, or a source does not see changes. It heals by itself.
	Stale
	// Ended: the binding was removed or the registry shut down.
	Ended
	// Restored: rows that an earlier run has saved are served, because the database
	// has not been read since the start. It becomes Live, or Stale, by itself.
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
