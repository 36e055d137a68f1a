package pgsource

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/binderyhq/bindery/sources/internal/rowlog"
)

// gatherer assembles the messages of the log into commits. It belongs to the
// goroutine that receives them.
type gatherer struct {
	routes  *atomic.Pointer[routes]
	maxKeys int
	ask     func() uint64 // has the catalog read again, and numbers the question

	decoder decoder
	senders map[uint32]*sender
	open    *commit // the transaction that is being received
	key     []byte  // reused
}

// take takes one message. At the end of a transaction it returns the commit and
// the position after it. The commit may change no bound table.
func (g *gatherer) take(data []byte) (done *commit, end uint64, err error) {
	msg, err := g.decoder.decode(data)
	if err != nil {
		return nil, 0, fmt.Errorf("decoding the log: %w", err)
	}
	switch m := msg.(type) {
	case beginMessage:
		g.open = &commit{xid: m.xid, changes: make(rowlog.Changes)}
		return nil, 0, nil
	case relationMessage: // usually inside a transaction
		g.describe(m)
		return nil, 0, nil
	case nil:
		return nil, 0, nil
	}
	if g.open == nil {
		return nil, 0, errors.New("decoding the log: a change outside of a transaction")
	}
	switch m := msg.(type) {
	case commitMessage:
		done, g.open = g.open, nil
		return done, m.end, nil
	case rowMessage:
		return nil, 0, g.row(m)
	case truncateMessage:
		for _, id := range m.relations {
			if err := g.whole(id); err != nil {
				return nil, 0, err
			}
		}
	}
	return nil, 0, nil
}

// describe remembers a relation's columns. If they differ from before, the table was
// altered, which may have changed every row. An unknown relation may be a new
// partition of a bound table.
func (g *gatherer) describe(m relationMessage) {
	if g.senders == nil {
		g.senders = make(map[uint32]*sender)
	}
	was := g.senders[m.id]
	_, known := g.routes.Load().byOID[m.id]
	asked := uint64(0)
	if !known {
		asked = g.ask()
	}
	if was != nil && slices.Equal(was.columns, m.columns) && slices.Equal(was.types, m.types) {
		return // sent again, as after an ANALYZE
	}
	g.senders[m.id] = &sender{id: m.id, columns: m.columns, types: m.types, asked: asked}
	if was != nil && g.open != nil {
		_ = g.whole(m.id) // cannot fail: m.id is described now
	}
}

func (g *gatherer) targets(id uint32) ([]target, error) {
	s := g.senders[id]
	if s == nil {
		return nil, fmt.Errorf("decoding the log: relation %d was not described", id)
	}
	return s.resolve(g.routes.Load()), nil
}

func (g *gatherer) whole(id uint32) error {
	targets, err := g.targets(id)
	for _, t := range targets {
		g.open.changes.Of(t.table).SetWhole()
	}
	return err
}

// row notes the keys of a row before and after the change.
func (g *gatherer) row(m rowMessage) error {
	targets, err := g.targets(m.relation)
	for _, t := range targets {
		set := g.open.changes.Of(t.table)
		if set.Whole() {
			continue
		}
		if t.positions == nil || !g.note(set, t.positions, m.old, m.new) || !g.note(set, t.positions, m.new, m.old) {
			set.SetWhole()
		}
	}
	return err
}

// note adds the key of one version of the row, if there is one. A value that was
// stored out of line and not sent is the same as in the other version. note reports
// false if the message lacks the key.
func (g *gatherer) note(set *rowlog.Set, positions []int, row, other []field) bool {
	if row == nil {
		return true
	}
	g.key = g.key[:0]
	for _, at := range positions {
		if at >= len(row) {
			return false
		}
		f := row[at]
		if f.kind == fieldUnchanged && at < len(other) {
			f = other[at]
		}
		if f.kind != fieldText {
			return false
		}
		g.key = rowlog.AppendPart(g.key, f.text)
	}
	set.Add(g.key, g.maxKeys)
	return true
}
