package live

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/digest"
)

// Options are the options of [New].
type Options struct {
	// Name is the binding's name. Params are the parameters of a family's member.
	Name   string
	Params Params
	// LogEvents and LogBytes bound the events kept for subscribers who lag or resume: their
	// number, and the bytes of their rows. With 0 or less in either, none are kept, and
	// every lagging subscriber gets a sync.
	LogEvents, LogBytes int
	// Account, when set, counts the memory that the view uses.
	Account Account
}

// New returns an empty view and the only publisher that can write to it.
func New(o Options) (*View, *Publisher) {
	v := &View{name: o.Name, params: o.Params, loaded: make(chan struct{}), done: make(chan struct{}), account: o.Account}
	v.log.maxEvents, v.log.maxBytes = max(o.LogEvents, 0), max(o.LogBytes, 0)
	return v, &Publisher{v: v}
}

// Publisher writes to a [View]: it leads readers and subscribers from one version to the
// next. Only one goroutine at a time may call Edit, Publish, Restore and Touch; any may
// call End and Describe.
type Publisher struct {
	v *View

	// settling serializes the account's updates for rows.
	settling sync.Mutex
	held     holdings
}

// View returns the view that the publisher writes to.
func (p *Publisher) View() *View { return p.v }

// Describe sets the [Description] that readers see.
func (p *Publisher) Describe(d Description) { p.v.description.Store(&d) }

// Edit begins the next version. It starts from the current rows, or from none: before the
// first load, with anew set, and when the current rows have another fingerprint. All rows
// of a version must have the same fingerprint.
func (p *Publisher) Edit(print *Fingerprint, anew bool) *Edit {
	from := p.v.current.Load()
	if anew || from != nil && *from.print != *print {
		from = nil
	}
	return newEdit(print, from)
}

// Publish makes the edit current and returns the event for subscribers. The event is a sync
// at the first load, after an edit from nothing, and when only the order of rows has
// changed. It is a confirmation when unchanged restored rows have received their Go values,
// and otherwise a change. It is nil when clients see no difference; Go code sees the new
// rows all the same. If the view has ended it stays as it is, and Publish returns false.
func (p *Publisher) Publish(e *Edit, now time.Time) (*Event, bool) {
	cur := p.v.current.Load() // where the edit starts, unless a Touch came between
	event := e.Event()
	changed := cur == nil || e.sum != cur.sum
	anew := e.from == nil || changed && event.Len() == 0
	if !changed && !anew && len(e.touched) == 0 {
		return nil, p.v.Err() == nil
	}
	if e.from == nil {
		e.pack()
	}
	next := &Snapshot{
		print: e.print, sum: e.sum, sequence: e.sequence, rows: e.rows, ordered: e.ordered, bytes: e.bytes,
		cache: &Cache{}, body: &Cache{}, told: &Cache{},
	}
	if !changed {
		// Same content: keep the version and the values derived from it.
		next.version, next.stamp = cur.version, cur.stamp
		if !anew {
			next.body, next.cache, next.told = cur.body, cur.cache, cur.told
		}
		var valued *Event
		if cur.valueless && !anew { // only now Go code can read the binding
			valued = &Event{Kind: Confirmed, From: next.version.Token, Version: next.version}
			valued.measure()
		}
		return p.publish(next, valued, anew, e.touched, e.current)
	}
	var before Version
	var prev *digest.Stamp
	if cur != nil {
		before, prev = cur.version, cur.stamp
	}
	next.stamp = digest.NewStamp(now, prev)
	next.version = Version{Token: e.sum.Token(), Seq: before.Seq + 1, Modified: next.stamp.Modified}
	event.From, event.Version, event.Reported, event.within = before.Token, next.version, e.reported, e.within
	event.measure()
	return p.publish(next, event, anew, e.touched, e.current)
}

// Touch sets the version's time of change to now, and tells subscribers that what they have
// is current. The token stays, since the content does. It returns the event, or
// [ErrNotLoaded], or the error with which the view has ended.
func (p *Publisher) Touch(now time.Time) (*Event, error) {
	v := p.v
	if err := v.Err(); err != nil {
		return nil, fmt.Errorf("live: binding %q: %w", v.name, err)
	}
	cur := v.current.Load()
	if cur == nil {
		return nil, fmt.Errorf("live: binding %q: %w", v.name, ErrNotLoaded)
	}
	next := &Snapshot{
		print: cur.print, sum: cur.sum, sequence: cur.sequence, rows: cur.rows, ordered: cur.ordered, bytes: cur.bytes,
		cache: &Cache{}, body: cur.body, told: &Cache{}, stamp: digest.NewStamp(now, cur.stamp), valueless: cur.valueless,
	}
	next.version = Version{Token: cur.version.Token, Seq: cur.version.Seq + 1, Modified: next.stamp.Modified}
	e := &Event{Kind: Confirmed, From: cur.version.Token, Version: next.version}
	e.measure()
	if _, ok := p.publish(next, e, false, nil, nil); !ok {
		return nil, fmt.Errorf("live: binding %q: %w", v.name, v.Err())
	}
	return e, nil
}

// publish makes the snapshot current. A nil event means that only Go code can see a change.
// With anew set the log is reset and every subscriber gets a sync; otherwise keys are those
// of the rows that may differ. current is called when the snapshot is current; nil: nothing.
func (p *Publisher) publish(next *Snapshot, e *Event, anew bool, keys []driver.Key, current func(*Snapshot)) (*Event, bool) {
	return p.publishAfter(nil, next, e, anew, keys, current)
}

// publishRestored makes the first snapshot current, together with the log that led to it.
// It returns false if the view has ended.
func (p *Publisher) publishRestored(next *Snapshot, log []*Event) bool {
	_, ok := p.publishAfter(log, next, nil, true, nil, nil)
	return ok
}

// publishAfter is publish for a log that begins with these events when it is reset.
func (p *Publisher) publishAfter(log []*Event, next *Snapshot, e *Event, anew bool, keys []driver.Key, current func(*Snapshot)) (*Event, bool) {
	v := p.v
	if v.account != nil {
		// The account already counts the caches shared with the current snapshot, unless a
		// concurrent End is subtracting them.
		var known []*Cache
		if cur := v.current.Load(); cur != nil {
			shared := cur.caches()
			known = shared[:]
		}
		for _, c := range next.caches() {
			if !slices.Contains(known, c) {
				c.attach(v.account, true)
			}
		}
	}
	p.settling.Lock()
	v.mu.Lock()
	if v.ended != nil {
		v.mu.Unlock()
		p.settling.Unlock()
		return nil, false
	}
	before := v.current.Swap(next)
	first, logged := before == nil, v.log.bytes
	switch {
	case first, anew:
		v.log.reset()
		for _, earlier := range log {
			if v.account != nil {
				earlier.own.attach(v.account, false)
			}
			v.log.append(earlier)
		}
		e = next.SyncEvent()
	case e != nil:
		if v.account != nil {
			e.own.attach(v.account, false)
		}
		v.log.append(e)
		v.events.Add(1)
	}
	var armed []*Subscription
	if e != nil {
		v.forgetMergedLocked()
		armed = v.takeArmedLocked()
	}
	logged = v.log.bytes - logged
	v.mu.Unlock()
	p.settle(before, next, keys, first || anew)
	if v.account != nil {
		v.account.Add(Logs, logged)
		retire(before, next)
	}
	p.settling.Unlock()
	if current != nil {
		current(next)
	}
	if e == nil {
		return nil, true
	}
	if first {
		close(v.loaded)
	}
	v.notifyAll(armed)
	return e, true
}

// retire subtracts the values derived from a snapshot from the account, except those that
// the next snapshot shares.
func retire(s, next *Snapshot) {
	if s == nil {
		return
	}
	for _, c := range s.caches() {
		if next == nil || c != next.cache && c != next.body && c != next.told {
			c.detach()
		}
	}
}

// End ends the view and gives subscribers the reason. Only the first End counts. After
// [ErrClosed] the last version and its log remain, so that a plugin can save them.
func (p *Publisher) End(why error) {
	v := p.v
	v.mu.Lock()
	if v.ended != nil {
		v.mu.Unlock()
		return
	}
	v.ended = why
	close(v.done)
	armed := v.takeArmedLocked()
	logged := v.log.bytes
	if errors.Is(why, ErrClosed) {
		v.log.release()
	} else {
		v.log.reset()
	}
	v.forgetMergedLocked()
	v.mu.Unlock()
	if v.account != nil {
		p.settling.Lock()
		p.settle(v.current.Load(), nil, nil, true)
		v.account.Add(Logs, -logged)
		retire(v.current.Load(), nil)
		p.settling.Unlock()
	}
	for _, s := range armed {
		s.notify()
	}
}
