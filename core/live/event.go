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
	// Changed means that Created, Updated and Deleted lead from one version to the next.
	Changed EventKind = iota
	// Synced means that Snapshot replaces everything known before.
	Synced
	// Confirmed means that what the subscriber has is current. It is the first event of a
	// subscription that resumes at the current version, and the event of a Touch.
	Confirmed
)

// Event is how one snapshot became the next. Events are immutable and shared
// by all subscribers.
type Event struct {
	Kind EventKind
	// From is the token of the version that the event starts from, "" when Synced.
	From string
	// Version is the version that the event leads to.
	Version Version
	// Snapshot is what the binding holds at Version when Kind is Synced, and
	// nil otherwise.
	Snapshot *Snapshot
	// Created, Updated and Deleted are the rows that came, changed and went, each key at
	// most once, in the order of the batch. Deleted holds the rows as they last were:
	// transports show only their keys, see [View.KeyJSON].
	Created, Updated, Deleted []Row

	// Reported is when the first of the reports behind the event, or behind the events
	// merged into it, came in. It is the zero time in a sync, and when nothing was
	// reported. Merged says that several events were merged into this one.
	Reported time.Time
	Merged   bool

	before []digest.Sum    // of the Updated rows, before the event
	within context.Context // nil: none

	bytes  int // an estimate of what keeping the event in the log costs
	own    Cache
	shared *Cache // used instead of own by a sync
}

// Context returns the context of the event's batch, for the values that plugins have put
// into it (core.BatchObserver). A merged event has that of the last batch with one. It is
// nil when no plugin added one, in a sync, and for events that come from no batch. It never
// ends.
func (e *Event) Context() context.Context { return e.within }

// Cache returns the cache of values derived from the event; see [Memo].
func (e *Event) Cache() *Cache {
	if e.shared != nil {
		return e.shared
	}
	return &e.own
}

// Len returns the number of rows in the event.
func (e *Event) Len() int { return len(e.Created) + len(e.Updated) + len(e.Deleted) }

// eventOverhead is the estimated cost in the log, in bytes, of an event and of each of its
// rows, beside the encoded rows.
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

// merge returns one event with the effect of all the given ones, which are consecutive and
// of kind Changed or Confirmed. Each key appears at most once. A row that ends up as it was
// before them is left out.
func merge(events []*Event) *Event {
	first, last := events[0], events[len(events)-1]
	if len(events) == 1 {
		return first
	}
	type change struct {
		was    bool       // existed before all events
		before digest.Sum // its digest then
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
