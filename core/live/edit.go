package live

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/digest"
)

// Edit builds the next snapshot from the current one: rows are put and taken, and the
// resulting difference becomes the event. [Publisher.Edit] begins one, and
// [Publisher.Publish] shows it to readers. An Edit that is not published has no effect.
// Only one goroutine at a time may use it.
type Edit struct {
	print *Fingerprint
	from  *Snapshot // nil: from nothing

	rows, ordered *tree
	sum           digest.Sum
	sequence      digest.Sum
	bytes         int

	touched []driver.Key            // in order of first touch
	seen    map[driver.Key]struct{} // the keys in touched, once it is long
	event   *Event                  // nil: not computed since the last change

	reported time.Time
	within   context.Context // nil: none
	current  func(*Snapshot) // nil: none
}

func newEdit(print *Fingerprint, from *Snapshot) *Edit {
	e := &Edit{print: print, from: from, sum: print.sum}
	if from == nil {
		e.rows = newTree(false)
		e.ordered = e.rows
		return e
	}
	e.rows = from.rows.Copy()
	e.ordered = e.rows
	if from.ordered != from.rows {
		e.ordered = from.ordered.Copy()
	}
	e.sum, e.sequence, e.bytes = from.sum, from.sequence, from.bytes
	return e
}

// From returns the snapshot that the edit starts from, nil when it starts from
// nothing.
func (e *Edit) From() *Snapshot { return e.from }

// Len returns the number of rows.
func (e *Edit) Len() int { return e.rows.Len() }

// Get returns the row with the key.
func (e *Edit) Get(key driver.Key) (Row, bool) {
	r, ok := e.rows.Get(string(key))
	return Row{r, e.print}, ok
}

// Last returns the last row in the binding's order.
func (e *Edit) Last() (Row, bool) {
	r := e.ordered.Max()
	return Row{r, e.print}, r != nil
}

// Each calls visit with every row, in key order, until it returns false. visit must not
// change the edit.
func (e *Edit) Each(visit func(Row) bool) {
	e.rows.Scan(func(r *entry) bool { return visit(Row{r, e.print}) })
}

// Put adds a row made by [Fingerprint.Row], and replaces the row with the same key. No two
// rows may have the same order key: order keys end with the key, or are distinct numbers. A
// second row at one order key would displace the first.
func (e *Edit) Put(r Row) {
	if e.ordered == e.rows && r.e.orderKey != string(r.e.key) {
		e.split()
	}
	old := e.rows.Set(r.e)
	if old != nil {
		e.sum = e.sum.Sub(old.sum(e.print))
		e.bytes -= len(old.json)
	}
	if e.ordered != e.rows {
		if old != nil && old.orderKey != r.e.orderKey {
			e.ordered.Delete(old.orderKey)
		}
		e.ordered.Set(r.e)
	}
	e.sum = e.sum.Add(r.e.sum(e.print))
	e.bytes += len(r.e.json)
	e.touch(r.e.key)
}

// Take removes the row with the key, if there is one, and returns it.
func (e *Edit) Take(key driver.Key) (Row, bool) {
	old := e.rows.Delete(string(key))
	if old == nil {
		return Row{}, false
	}
	if e.ordered != e.rows {
		e.ordered.Delete(old.orderKey)
	}
	e.sum = e.sum.Sub(old.sum(e.print))
	e.bytes -= len(old.json)
	e.touch(key)
	return Row{old, e.print}, true
}

// split makes a separate tree for the order, once rows are not ordered by key.
func (e *Edit) split() {
	e.ordered = newTree(true)
	e.rows.Scan(func(r *entry) bool {
		e.ordered.Set(r)
		return true
	})
}

// fewTouched is the number of keys up to which a linear search beats a map.
const fewTouched = 8

// touch notes that the row may have been created, changed or deleted.
func (e *Edit) touch(key driver.Key) {
	e.event = nil
	if e.from == nil {
		return // subscribers get a sync with everything
	}
	if e.seen == nil {
		if slices.Contains(e.touched, key) {
			return
		}
		if e.touched = append(e.touched, key); len(e.touched) > fewTouched {
			e.seen = make(map[driver.Key]struct{}, 2*len(e.touched))
			for _, k := range e.touched {
				e.seen[k] = struct{}{}
			}
		}
		return
	}
	if _, ok := e.seen[key]; ok {
		return
	}
	e.seen[key] = struct{}{}
	e.touched = append(e.touched, key)
}

// Reported sets [Event.Reported]: when the first of the reports that led to the edit came
// in.
func (e *Edit) Reported(at time.Time) { e.reported = at }

// Within sets [Event.Context], without the cancellation of ctx.
func (e *Edit) Within(ctx context.Context) { e.within = context.WithoutCancel(ctx) }

// Current has fn called with the new snapshot when it has become the view's, before anybody
// hears of it: those who wait for [View.Loaded] or a [Subscription] go on after the call. It
// may not be called if the edit changes nothing. fn must return soon, and must not publish.
func (e *Edit) Current(fn func(*Snapshot)) { e.current = fn }

// Touched returns the keys of the rows that were put or taken, each once, even when a row
// has ended up unchanged. An edit that starts from nothing does not record them. The caller
// must not modify the result.
func (e *Edit) Touched() []driver.Key { return e.touched }

// MarkOrder makes the present order of the rows part of the version's token. It is for
// order keys that are numbers and so not part of the rows' content, see [Content].Numbered.
func (e *Edit) MarkOrder() {
	e.event = nil
	e.sum = e.sum.Sub(e.sequence)
	e.sequence = sequenceOf(e.print, e.ordered)
	e.sum = e.sum.Add(e.sequence)
}

// sequenceOf returns the digest of the order of rows.
func sequenceOf(print *Fingerprint, ordered *tree) digest.Sum {
	b := append([]byte(nil), print.raw[:]...)
	ordered.Scan(func(r *entry) bool {
		b = binary.AppendUvarint(b, uint64(len(r.key)))
		b = append(b, r.key...)
		return true
	})
	return digest.Of(b)
}

// Token returns the token of the version that the edit would be published as, for
// comparison with an expected one.
func (e *Edit) Token() string { return e.sum.Token() }

// Event returns the changes so far: each key at most once, in the order in which they were
// first put or taken. A row with unchanged content is left out. The event of an edit from
// nothing is empty, since subscribers get a sync. The event has no version yet.
func (e *Edit) Event() *Event {
	if e.event != nil {
		return e.event
	}
	e.event = &Event{Kind: Changed}
	for _, key := range e.touched {
		before, was := e.from.rows.Get(string(key))
		after, is := e.rows.Get(string(key))
		switch {
		case !was && is:
			e.event.Created = append(e.event.Created, Row{after, e.print})
		case was && !is:
			e.event.Deleted = append(e.event.Deleted, Row{before, e.print})
		case was && !before.shows(after):
			e.event.Updated = append(e.event.Updated, Row{after, e.print})
			e.event.before = append(e.event.before, before.sum(e.print))
		}
	}
	return e.event
}

// pack shrinks the trees after all rows were put.
func (e *Edit) pack() {
	e.rows.Pack()
	if e.ordered != e.rows {
		e.ordered.Pack()
	}
}
