package live

import (
	"context"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/digest"
)

// EventKind says how an [Event] leads to its version.
type EventKind uint8

// The kinds of events.
const (
	// Changed: Created, Updated and Deleted lead from one version to the next.
	Changed EventKind = iota
	// Synced: Snapshot replaces everything that was known before.
	Synced
	// Confirmed: what the subscriber has is current. It is the first event of
	// a subscription that resumed at the current version, and what Touch
	// announces.
	Confirmed
)

// Event is how one snapshot became the next. Events are immutable and shared
// by all subscribers.
type Event struct {
	Kind EventKind
	// From is the token of the version that the event starts from. It is ""
	// when Synced.
	From string
	// Version is the version that the event leads to.
	Version Version
	// Snapshot is what the binding holds at Version when Kind is Synced, and
	// nil otherwise.
	Snapshot *Snapshot
	// Created, Updated and Deleted are the rows that came, changed and went,
	// each key at most once, in the order of the batch. Deleted holds the rows
	// as they last were: transports show their keys alone, see [View.KeyJSON].
	Created, Updated, Deleted []Row

	// Reported is when the first report came in of what the event tells, of all
	// the events that were merged into it. It is the zero time in a sync, and where
	// nothing was reported. Merged says that the event was merged from several.
	Reported time.Time
	Merged   bool

	before []digest.Sum    // of the Updated, as they were
	within context.Context // nil: none

	bytes  int // an estimate of what keeping the event in the log costs
	own    Cache
	shared *Cache // in its place, of a sync
}

// Context returns the context of the batch that the event comes of, for the values
// that plugins have put into it (core.BatchObserver); of the last of them, where events
// were merged. It is nil where no plugin did, in a sync, and in what no batch has
// brought. It never ends.
func (e *Event) Context() context.Context { return e.within }

// Cache keeps what is derived from the event; see [Memo].
func (e *Event) Cache() *Cache {
	if e.shared != nil {
		return e.shared
	}
	return &e.own
}

// Len returns the number of rows in the event.
func (e *Event) Len() int { return len(e.Created) + len(e.Updated) + len(e.Deleted) }

// eventOverhead is what an event and each of its rows is taken to cost in the
// log beside the encoded rows, in bytes.
const eventOverhead = 96

// digestBytes is the size of a digest.
const digestBytes = 16

func (e *Event) measure() {
	e.bytes = eventOverhead*(1+e.Len()) + digestBytes*len(e.before)
	for _, rows := range [][]Row{e.Created, e.Updated, e.Deleted} {
		for _, r := range rows {
			e.bytes += len(r.e.json)
		}
	}
}

// merge returns one event that has the effect of all the given ones, which
// follow on each other and are of kind Changed or Confirmed. Every key is in
// it at most once, and not at all when the row is as it was before them: because
// it came and went in between, or changed and changed back.
func merge(events []*Event) *Event {
	first, last := events[0], events[len(events)-1]
	if len(events) == 1 {
		return first
	}
	type change struct {
		was    bool       // there, before all events
		before digest.Sum // then
		gone   Row        // as it last was
		after  Row        // zero: absent
	}
	changes := make(map[driver.Key]*change)
	var order []driver.Key // of first appearance, so that merging is deterministic
	note := func(r Row, was bool, before digest.Sum) *change {
		c := changes[r.e.key]
		if c == nil {
			c = &change{was: was, before: before}
			changes[r.e.key] = c
			order = append(order, r.e.key)
		}
		return c
	}
	for _, e := range events {
		for _, r := range e.Deleted {
			c := note(r, true, r.e.sum(r.print))
			c.gone, c.after = r, Row{}
		}
		for _, r := range e.Created {
			note(r, false, digest.Sum{}).after = r
		}
		for i, r := range e.Updated {
			note(r, true, e.before[i]).after = r
		}
	}
	m := &Event{Kind: Changed, From: first.From, Version: last.Version, Merged: true}
	for _, e := range events {
		if e.within != nil {
			m.within = e.within
		}
		if m.Reported.IsZero() || !e.Reported.IsZero() && e.Reported.Before(m.Reported) {
			m.Reported = e.Reported
		}
	}
	for _, k := range order {
		switch c := changes[k]; {
		case !c.was && !c.after.IsZero():
			m.Created = append(m.Created, c.after)
		case c.was && c.after.IsZero():
			m.Deleted = append(m.Deleted, c.gone)
		case c.was && c.after.e.sum(c.after.print) != c.before:
			m.Updated = append(m.Updated, c.after)
			m.before = append(m.before, c.before)
		}
	}
	if m.Len() == 0 {
		m.Kind = Confirmed
	}
	m.measure()
	return m
}
