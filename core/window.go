package core

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math"
	"reflect"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
)

// window is what a snapshot holds beyond the rows that it shows: the margin, the
// rows that come next in order. With them it is decided in memory which rows are
// the first, as long as the margin lasts.
//
// The rows shown and those of the margin together are all rows of the binding
// that stand at the boundary or before it; all rows there are, when the window is
// complete. Every row that is shown stands before every one of the margin.
//
// Bindings whose order only the database knows have a window too, limited or
// not: there a row's place is its number in the database's last answer, and
// a row that is new, or whose ordering columns changed, has no place until
// the database is asked again.
type window struct {
	rows, ordered *tree  // the margin, by key and by place
	bound         string // the place beyond which rows are not held
	complete      bool   // there is no such place
	sequence      digest // of the keys in order, where places are not content
}

func newWindow() *window { return &window{rows: &tree{}, ordered: &tree{}} }

func (w *window) copy() *window {
	c := *w
	c.rows, c.ordered = w.rows.Copy(), w.ordered.Copy()
	return &c
}

// reach is how many rows the binding holds when it has been read in full:
// those that it shows, and its margin. 0 means all there are.
func (v *publisher) reach() int {
	if v.spec.limit == 0 || !v.shape.Load().inMemory {
		return v.spec.limit
	}
	if m := v.spec.margin; m != nil {
		return v.spec.limit + *m
	}
	return v.spec.limit + min(max(v.spec.limit, DefaultMargin), MaxDefaultMargin)
}

// windowed reports whether the binding's snapshots have a window.
func (v *publisher) windowed() bool {
	sh := v.shape.Load()
	return sh.collated || sh.inMemory && v.spec.limit > 0
}

// eachHeld calls visit for every row that the snapshot shows or has in its
// margin.
func (s *Snapshot) eachHeld(visit func(*entry)) {
	all := func(_ string, e *entry) bool { visit(e); return true }
	s.rows.Scan(all)
	if s.window != nil {
		s.window.rows.Scan(all)
	}
}

// held returns the row that the snapshot shows or has in its margin, or nil.
func (s *Snapshot) held(key driver.Key) *entry {
	if e, ok := s.rows.Get(string(key)); ok || s.window == nil {
		return e
	}
	e, _ := s.window.rows.Get(string(key))
	return e
}

// untouched reports that the binding neither holds the row of that key nor
// takes up the row that was read (nil: it has none for the binding).
func (v *publisher) untouched(key driver.Key, c *candidate) bool {
	s := v.current.Load()
	if s.held(key) != nil {
		return false
	}
	if c == nil {
		return true
	}
	sh, w := v.shape.Load(), s.window
	return w != nil && !w.complete && !sh.collated && sh.orderOf(v.read, c.row, key) > w.bound
}

// unranked is the rank of a row that was not read in the database's order.
const unranked = -1

// hold makes the row one of those that are held, if it belongs there. before is
// the row as it was, for one that is not held any more. rank is its number in
// the database's order, for bindings that have none of their own.
func (t *transition) hold(c *candidate, js []byte, before *entry, rank int) {
	w, old := t.window, t.held(c.key)
	if before == nil {
		before = old
	}
	var place string
	switch {
	case !t.sh.collated:
		place = t.sh.orderOf(t.v.read, c.row, c.key)
		if !w.complete && place > w.bound {
			t.drop(c.key)
			return
		}
	case rank != unranked:
		place = string(binary.BigEndian.AppendUint64(nil, uint64(rank)))
	case old != nil && t.sh.orderOf(t.v.read, old.row, old.key) == t.sh.orderOf(t.v.read, c.row, c.key):
		place = old.order
	default:
		t.unplaced = true
		return
	}
	e := before
	if e == nil || e.order != place || !bytes.Equal(e.json, js) || !reflect.DeepEqual(e.row, c.row) {
		e = t.entry(c, place, js, before)
	}
	if e == old {
		return
	}
	if old != nil {
		t.unhold(old)
	}
	if next, _, ok := w.ordered.Min(); ok && place > next {
		w.add(e)
	} else {
		t.show(e)
	}
	t.touch(e.key)
	t.balance()
}

// entry makes the row's entry. What is seen of it has changed now, unless it is
// what was seen before.
func (t *transition) entry(c *candidate, place string, js []byte, before *entry) *entry {
	e := &entry{key: c.key, order: place, json: js, row: c.row}
	e.sum, *t.scratch = t.sh.sumOf(e, *t.scratch)
	switch {
	case before == nil:
		e.stamp = newStamp(t.now, nil)
	case before.sum == e.sum:
		e.json, e.stamp = before.json, before.stamp
	default:
		e.stamp = newStamp(t.now, before.stamp)
	}
	return e
}

// drop lets go of the row, if it is held.
func (t *transition) drop(key driver.Key) {
	if e := t.held(key); e != nil {
		t.unhold(e)
		t.touch(key)
		t.balance()
	}
}

// held returns the row as the snapshot shows it or the margin has it, or nil.
func (t *transition) held(key driver.Key) *entry {
	if e, ok := t.rows.Get(string(key)); ok {
		return e
	}
	if t.window == nil {
		return nil
	}
	e, _ := t.window.rows.Get(string(key))
	return e
}

// unhold takes out an entry that is held.
func (t *transition) unhold(e *entry) {
	if _, ok := t.rows.Get(string(e.key)); ok {
		t.unset(e)
	} else {
		t.window.remove(e)
	}
}

func (t *transition) show(e *entry) {
	t.set(e)
	t.sum = t.sum.add(e.sum)
	t.bytes += len(e.json)
}

func (w *window) add(e *entry) {
	w.rows.Set(string(e.key), e)
	w.ordered.Set(e.order, e)
}

func (w *window) remove(e *entry) {
	w.rows.Delete(string(e.key))
	w.ordered.Delete(e.order)
}

// balance moves a row over the limit when one too many is shown, or one too few.
func (t *transition) balance() {
	limit := t.v.limit()
	for t.rows.Len() > limit {
		_, e, _ := t.ordered.Max()
		t.unset(e)
		t.window.add(e)
		t.touch(e.key)
	}
	for t.rows.Len() < limit && t.window.rows.Len() > 0 {
		_, e, _ := t.window.ordered.Min()
		t.window.remove(e)
		t.show(e)
		t.touch(e.key)
	}
}

func (v *publisher) limit() int {
	if v.spec.limit == 0 {
		return math.MaxInt
	}
	return v.spec.limit
}

// touch notes that the row may have come, gone or moved.
func (t *transition) touch(key driver.Key) {
	if _, ok := t.touched[key]; ok {
		return
	}
	if t.touched == nil {
		t.touched = make(map[driver.Key]struct{})
	}
	t.touched[key] = struct{}{}
	t.order = append(t.order, key)
}

// refill makes the candidates, the first of the binding's order, all that is
// held. complete says that there are no others. Rows that cannot be encoded are
// given to fail; without them fewer than the limit may be shown.
func (t *transition) refill(all []*candidate, complete bool, fail func(driver.Key, error)) {
	w := t.window
	w.bound, w.complete, t.unplaced, t.short = "", complete, false, false
	keep := make(map[driver.Key]struct{}, len(all))
	for _, c := range all {
		keep[c.key] = struct{}{}
		if !t.sh.collated {
			w.bound = max(w.bound, t.sh.orderOf(t.v.read, c.row, c.key))
		}
	}
	if len(keep) < len(all) {
		fail("", t.sh.sameKeys())
		return
	}
	before := make(map[driver.Key]*entry)
	visit := func(_ string, e *entry) bool {
		// A number in the last answer means nothing in this one.
		if _, ok := keep[e.key]; !ok || t.sh.collated {
			before[e.key] = e
		}
		return true
	}
	t.rows.Scan(visit)
	w.rows.Scan(visit)
	for _, key := range slices.Sorted(maps.Keys(before)) {
		t.unhold(before[key])
		t.touch(key)
	}
	t.balance()
	for i, c := range all {
		js, err := c.encoded(t.v.read, t.sh.enc)
		if err != nil {
			t.short = true
			fail(c.key, err)
			continue
		}
		t.hold(c, js, before[c.key], i)
	}
}

// settle ends a transition of a binding with a window: it bounds the margin and
// makes the event of what differs in the end. It returns false when the rows that
// are held do not tell which are shown, so that the binding must be read.
func (t *transition) settle() bool {
	w := t.window
	if w == nil || t.settled {
		return true
	}
	if t.unplaced || !w.complete && !t.short && t.rows.Len() < t.v.spec.limit {
		return false
	}
	t.settled = true
	if reach := t.v.reach(); reach > 0 {
		t.trim(reach)
	}
	var was *tree
	if t.from != nil {
		was = t.from.rows
	}
	for _, key := range t.order {
		var before *entry
		if was != nil {
			before, _ = was.Get(string(key))
		}
		after, _ := t.rows.Get(string(key))
		switch {
		case before == nil && after != nil:
			t.event.Created = append(t.event.Created, Row{after})
		case before != nil && after == nil:
			t.event.Deleted = append(t.event.Deleted, Row{before})
		case before != nil && before.sum != after.sum:
			t.event.Updated = append(t.event.Updated, Row{after})
		}
	}
	t.hidden = len(t.order) > 0 || t.from != nil && (w.bound != t.from.window.bound || w.complete != t.from.window.complete)
	if t.sh.collated && (t.from == nil || len(t.order) > 0) {
		t.resequence()
	}
	return true
}

// trim bounds what is held.
func (t *transition) trim(reach int) {
	w := t.window
	if t.rows.Len()+w.rows.Len() <= reach {
		return
	}
	for t.rows.Len()+w.rows.Len() > reach {
		_, last, _ := w.ordered.Max() // no more than the limit are shown
		w.remove(last)
		t.touch(last.key)
	}
	w.complete = false
	if _, last, ok := w.ordered.Max(); ok {
		w.bound = last.order
	} else {
		w.bound, _, _ = t.ordered.Max()
	}
}

// resequence makes the order of the rows part of the version's token, where
// their places are numbers that depend on what happened before.
func (t *transition) resequence() {
	w := t.window
	t.sum = t.sum.sub(w.sequence)
	b := append((*t.scratch)[:0], t.sh.print...)
	t.ordered.Scan(func(_ string, e *entry) bool {
		b = binary.AppendUvarint(b, uint64(len(e.key)))
		b = append(b, e.key...)
		return true
	})
	*t.scratch = b
	w.sequence, _ = digestOf(nil, b)
	t.sum = t.sum.add(w.sequence)
	// Clients who know of no change of a row would not notice it.
	t.reordered = t.from != nil && t.event.Len() == 0 && t.sum != t.from.sum
}
