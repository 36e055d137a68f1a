package core

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math"
	"reflect"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
	"github.com/tidwall/btree"
)

// window is what a binding holds beyond the rows that it shows: the margin, the
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
}

// tree is an ordered map of rows; Copy shares everything until it is written to.
type tree = btree.Map[string, live.Row]

func newWindow() *window { return &window{rows: &tree{}, ordered: &tree{}} }

func (w *window) copy() *window {
	c := *w
	c.rows, c.ordered = w.rows.Copy(), w.ordered.Copy()
	return &c
}

// holding is what a binding holds at one moment: the rows that it shows, and its
// window. It is immutable once it is the binding's.
type holding struct {
	shown  *live.Snapshot // nil: nothing was read yet
	window *window        // nil: there is none
}

// holding returns what the binding holds now.
func (v *publisher) holding() holding {
	if h := v.held.Load(); h != nil {
		return *h
	}
	return holding{}
}

// hold notes what the binding holds beside the rows that it now shows. Who
// publishes calls it.
func (v *publisher) hold(w *window) { v.held.Store(&holding{v.Snapshot(), w}) }

// each calls visit for every row that is shown or in the margin, until it returns
// false.
func (h holding) each(visit func(live.Row) bool) {
	if h.shown == nil {
		return
	}
	for r := range h.shown.Rows() {
		if !visit(r) {
			return
		}
	}
	if h.window != nil {
		h.window.rows.Scan(func(_ string, r live.Row) bool { return visit(r) })
	}
}

// all calls visit for every row that is shown or in the margin.
func (h holding) all(visit func(live.Row)) {
	h.each(func(r live.Row) bool { visit(r); return true })
}

// get returns the row that is shown or in the margin, or the zero Row.
func (h holding) get(key driver.Key) live.Row {
	if r, ok := h.shown.Get(key); ok || h.window == nil {
		return r
	}
	r, _ := h.window.rows.Get(string(key))
	return r
}

// reach is how many rows the binding holds when it has been read in full:
// those that it shows, and its margin. 0 means all there are.
func (v *publisher) reach() int {
	if v.spec.limit == 0 || !v.shape.Load().inMemory {
		return v.spec.limit
	}
	return v.spec.limit + v.spec.tuning.margin(v.spec.limit)
}

// windowed reports whether the binding's snapshots have a window.
func (v *publisher) windowed() bool {
	sh := v.shape.Load()
	return sh.collated || sh.inMemory && v.spec.limit > 0
}

// untouched reports that the binding neither holds the row of that key nor
// takes up the row that was read (nil: it has none for the binding).
func (v *publisher) untouched(key driver.Key, c *candidate) bool {
	h := v.holding()
	if !h.get(key).IsZero() {
		return false
	}
	if c == nil {
		return true
	}
	sh, w := v.shape.Load(), h.window
	return w != nil && !w.complete && !sh.collated && sh.orderOf(v.read, c.row, key) > w.bound
}

// unranked is the rank of a row that was not read in the database's order.
const unranked = -1

// hold makes the row one of those that are held, if it belongs there. before is
// the row as it was, for one that is not held any more. rank is its number in
// the database's order, for bindings that have none of their own.
func (t *transition) hold(c *candidate, js []byte, before live.Row, rank int) {
	w, old := t.window, t.held(c.key)
	if before.IsZero() {
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
	case !old.IsZero() && t.sh.orderOf(t.v.read, old.Value(), old.Key()) == t.sh.orderOf(t.v.read, c.row, c.key):
		place = old.Place()
	default:
		t.unplaced = true
		return
	}
	r := before
	if r.IsZero() || r.Place() != place || !bytes.Equal(r.JSON(), js) || !reflect.DeepEqual(r.Value(), c.row) {
		r = t.sh.row(c, place, js, before, t.now)
	}
	if r == old {
		return
	}
	if !old.IsZero() {
		t.unhold(old)
	}
	if next, _, ok := w.ordered.Min(); ok && place > next {
		w.add(r)
	} else {
		t.edit.Put(r)
	}
	t.touch(c.key)
	t.balance()
}

// drop lets go of the row, if it is held.
func (t *transition) drop(key driver.Key) {
	if r := t.held(key); !r.IsZero() {
		t.unhold(r)
		t.touch(key)
		t.balance()
	}
}

// held returns the row that is shown or in the margin, or the zero Row.
func (t *transition) held(key driver.Key) live.Row {
	if r, ok := t.edit.Get(key); ok || t.window == nil {
		return r
	}
	r, _ := t.window.rows.Get(string(key))
	return r
}

// unhold takes out a row that is held.
func (t *transition) unhold(r live.Row) {
	if _, shown := t.edit.Take(r.Key()); !shown {
		t.window.remove(r)
	}
}

func (w *window) add(r live.Row) {
	w.rows.Set(string(r.Key()), r)
	w.ordered.Set(r.Place(), r)
}

func (w *window) remove(r live.Row) {
	w.rows.Delete(string(r.Key()))
	w.ordered.Delete(r.Place())
}

// balance moves a row over the limit when one too many is shown, or one too few.
func (t *transition) balance() {
	limit := t.v.limit()
	for t.edit.Len() > limit {
		last, _ := t.edit.Last()
		t.edit.Take(last.Key())
		t.window.add(last)
		t.touch(last.Key())
	}
	for t.edit.Len() < limit && t.window.rows.Len() > 0 {
		_, next, _ := t.window.ordered.Min()
		t.window.remove(next)
		t.edit.Put(next)
		t.touch(next.Key())
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
	before := make(map[driver.Key]live.Row)
	visit := func(r live.Row) bool {
		// A number in the last answer means nothing in this one.
		if _, ok := keep[r.Key()]; !ok || t.sh.collated {
			before[r.Key()] = r
		}
		return true
	}
	t.edit.Each(visit)
	w.rows.Scan(func(_ string, r live.Row) bool { return visit(r) })
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

// settle ends a transition of a binding with a window: it bounds the margin. It
// returns false when the rows that are held do not tell which are shown, so that
// the binding must be read.
func (t *transition) settle() bool {
	w := t.window
	if w == nil || t.settled {
		return true
	}
	if t.unplaced || !w.complete && !t.short && t.edit.Len() < t.v.spec.limit {
		return false
	}
	t.settled = true
	if reach := t.v.reach(); reach > 0 {
		t.trim(reach)
	}
	if t.sh.collated && (t.anew || len(t.order) > 0) {
		t.edit.MarkOrder()
	}
	return true
}

// trim bounds what is held.
func (t *transition) trim(reach int) {
	w := t.window
	if t.edit.Len()+w.rows.Len() <= reach {
		return
	}
	for t.edit.Len()+w.rows.Len() > reach {
		_, last, _ := w.ordered.Max() // no more than the limit are shown
		w.remove(last)
		t.touch(last.Key())
	}
	w.complete = false
	if _, last, ok := w.ordered.Max(); ok {
		w.bound = last.Place()
	} else if last, ok := t.edit.Last(); ok {
		w.bound = last.Place()
	}
}
