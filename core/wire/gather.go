package wire

import "encoding/json"

// Step is a complete batch, whose messages together lead from one version to the next.
type Step struct {
	// Sync says that the created rows replace all rows that the receiver holds. Otherwise
	// the step continues from the receiver's version.
	Sync bool
	// Confirmed says that the receiver holds the version already. The step has no rows
	// then.
	Confirmed bool
	// Messages are the messages of the batch, in order, at least one.
	Messages []Received
}

// Last returns the last message of the batch, whose version and time are the step's.
func (s *Step) Last() *Received { return &s.Messages[len(s.Messages)-1] }

// Order returns the fields that order the rows of a sync, with a leading "-" for
// descending, or nil when rows do not show them.
func (s *Step) Order() []string { return s.Messages[0].Order }

// Rows calls visit with every row of the step, in order, and its action: Create for all
// rows of a sync. It stops at visit's first error, and returns it.
func (s *Step) Rows(visit func(action Action, row json.RawMessage) error) error {
	for _, m := range s.Messages {
		action := m.Action
		if action == Sync {
			action = Create
		}
		for _, row := range m.Rows {
			if err := visit(action, row); err != nil {
				return err
			}
		}
	}
	return nil
}

// Gatherer holds the messages of a batch until the last one has come. It serves one
// binding, on one goroutine. Its zero value is ready to use and holds at most
// [DefaultBatchBytes].
type Gatherer struct {
	// MaxBytes bounds the messages of one batch together, in encoded bytes. 0 means
	// [DefaultBatchBytes].
	MaxBytes int

	held  []Received
	bytes int
}

// DefaultBatchBytes is the default bound of a [Gatherer], in bytes.
const DefaultBatchBytes = 1 << 30

// Add takes the next message, of size encoded bytes, and returns the step that it
// completes, nil for none. Pass only Sync, Create, Update and Delete; the caller handles
// messages outside of batches (errors, answers to marks, requested pages, unknown actions).
// from is the version that the receiver holds, "" for none.
//
// The error is a [*MalformedError] when the messages are inconsistent: a batch that changes
// its version, a missing page, changes for a receiver without rows, "ok" for a version that
// it does not hold, or a batch beyond the bound. The receiver then drops the batch and
// requests all rows anew.
func (g *Gatherer) Add(m Received, size int, from string) (*Step, error) {
	begins := m.Action == Sync && (m.Current || m.Page <= 1)
	if begins {
		g.Drop()
	}
	if err := g.check(m, from); err != nil {
		g.Drop()
		return nil, err
	}
	limit := g.MaxBytes
	if limit <= 0 {
		limit = DefaultBatchBytes
	}
	if g.bytes += size; g.bytes > limit {
		g.Drop()
		return nil, malformed("a batch is longer than %d bytes", limit)
	}
	g.held = append(g.held, m)
	if m.More {
		return nil, nil
	}
	step := &Step{Messages: g.held, Sync: g.held[0].Action == Sync && !m.Current, Confirmed: m.Current}
	g.held, g.bytes = nil, 0
	return step, nil
}

// Drop discards an incomplete batch, for example after a lost connection.
func (g *Gatherer) Drop() { g.held, g.bytes = nil, 0 }

func (g *Gatherer) check(m Received, from string) error {
	switch m.Action {
	case Sync, Create, Update, Delete:
	default:
		return malformed("%s is part of no batch", m.Action)
	}
	switch {
	case m.Current && m.Version != from:
		return malformed("ok for a version that is not held")
	case m.Current && m.More:
		return malformed("ok is followed by more")
	case len(g.held) == 0 && m.Action == Sync && m.Page > 1:
		return malformed("a sync begins with page %d", m.Page)
	case len(g.held) == 0 && m.Action != Sync && from == "":
		return malformed("%s before any sync", m.Action)
	case len(g.held) == 0:
		return nil
	}
	last := g.held[len(g.held)-1]
	switch {
	case last.Version != m.Version:
		return malformed("a batch leads to two versions")
	case (last.Action == Sync) != (m.Action == Sync):
		return malformed("a batch holds a sync and changes")
	case m.Action == Sync && m.Page != last.Page+1:
		return malformed("page %d is followed by page %d", last.Page, m.Page)
	}
	return nil
}
