package wire

import "encoding/json"

// Step is a batch that has arrived in full: together its messages lead from one
// version to the next.
type Step struct {
	// Sync says that Created replaces all that the receiver holds; otherwise the
	// step leads on from the version that the receiver has.
	Sync bool
	// Confirmed says that the version is what the receiver holds already. There is
	// nothing else in the step.
	Confirmed bool
	// Messages are those of the batch, in order; at least one.
	Messages []Received
}

// Last is the message that has ended the batch: its version and time are the
// step's.
func (s *Step) Last() *Received { return &s.Messages[len(s.Messages)-1] }

// Order names the fields that order the rows of a sync, with a leading "-" for
// descending; nil when rows do not show it.
func (s *Step) Order() []string { return s.Messages[0].Order }

// Rows calls visit with every row of the step, in order, and what is done to it:
// Create for all rows of a sync. It stops at visit's first error, and returns it.
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

// Gatherer holds the messages of a batch until its last one has come. It serves one
// binding, on one goroutine; its zero value is ready and holds at most
// [DefaultBatchBytes].
type Gatherer struct {
	// MaxBytes bounds the messages of one batch together, in bytes of what they
	// were decoded from. 0 means [DefaultBatchBytes].
	MaxBytes int

	held  []Received
	bytes int
}

// DefaultBatchBytes bounds what a [Gatherer] holds where nothing else is said.
const DefaultBatchBytes = 1 << 30

// Add takes the next message, which was decoded from so many bytes, and returns the
// step that it completes, nil for none. Messages that belong to no batch (errors,
// answers to marks, pages that were looked at, unknown actions) are left to the
// caller, who passes only Sync, Create, Update and Delete. from is the version that
// the receiver holds, "" for none.
//
// The error is a [*MalformedError] where the messages make no sense: a batch that
// changes its version, a page that is missing, changes for a receiver that has
// nothing, "ok" for a version that it does not hold, a batch beyond the bound. The
// receiver drops the batch and asks for the rows anew.
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

// Drop forgets a batch that has not arrived in full, as after a lost connection.
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
