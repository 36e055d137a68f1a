package rowset

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

// window holds a limited binding's margin: the rows that follow the shown ones in order. As
// long as the margin lasts, the first rows are known without asking the database.
//
// The shown rows and the margin are together all rows of the binding up to a boundary, or
// all rows if the window is complete. Every shown row is before every row of the margin.
//
// Bindings whose order only the database knows have a window too, limited or not. There a
// row's place is its number in the database's last answer. A row that is new, or whose
// ordering columns changed, has no place until the database is asked again.
type window struct {
	rows, ordered *tree  // the margin, by key and by place
	bound         string // the boundary: rows beyond this place are not held
	complete      bool   // there is no boundary
	bytes         int    // estimated size of the margin
}

// tree is an ordered map of rows with copy-on-write copies.
type tree = btree.Map[string, live.Row]

// marginOverhead estimates the bytes that a row of the margin takes beside its value and
// encoding.
const marginOverhead = 320

func newWindow() *window { return &window{rows: &tree{}, ordered: &tree{}} }

func (w *window) copy() *window {
	c := *w
	c.rows, c.ordered = w.rows.Copy(), w.ordered.Copy()
	return &c
}

// Holding is what a binding holds at one moment: the rows that it shows, and its window. It
// is immutable.
type Holding struct {
	Shown  *live.Snapshot // nil: nothing was read yet
	Window *window        // nil: there is none
}

// Holding returns what the binding holds now.
func (v *Member) Holding() Holding {
	if h := v.held.Load(); h != nil {
		return *h
	}
	return Holding{}
}

// Unread reports whether the binding has not been read from the database yet. It may still
// show rows that an earlier run has saved.
func (v *Member) Unread() bool { return v.Holding().Shown == nil }

// Hold sets the binding's holding to its current snapshot and the window. Whoever publishes
// calls it.
func (v *Member) Hold(w *window) {
	before := v.Holding().Window
	v.held.Store(&Holding{v.Snapshot(), w})
	switch {
	case v.keeper == nil:
	case w != nil:
		v.keeper.Margin(w.bytes)
	case before != nil: // it has no window any more
		v.keeper.Margin(0)
	}
}

// Each calls visit for every row that is shown or in the margin, until it returns
// false.
func (h Holding) Each(visit func(live.Row) bool) {
	if h.Shown == nil {
		return
	}
	for r := range h.Shown.Rows() {
		if !visit(r) {
			return
		}
	}
	if h.Window != nil {
		h.Window.rows.Scan(func(_ string, r live.Row) bool { return visit(r) })
	}
}

// All calls visit for every row that is shown or in the margin.
func (h Holding) All(visit func(live.Row)) {
	h.Each(func(r live.Row) bool { visit(r); return true })
}

// Get returns the row that is shown or in the margin, or the zero Row.
func (h Holding) Get(key driver.Key) live.Row {
	if r, ok := h.Shown.Get(key); ok || h.Window == nil {
		return r
	}
	r, _ := h.Window.rows.Get(string(key))
	return r
}

// Reach returns how many rows a read of the binding in full asks for: its limit plus its
// margin. 0 means all rows.
func (v *Member) Reach() int {
	if v.Spec.Limit == 0 || !v.Shape.Load().InMemory {
		return v.Spec.Limit
	}
	return v.Spec.Limit + v.Spec.Margin
}

// windowed reports whether the binding has a window.
func (v *Member) windowed() bool {
	sh := v.Shape.Load()
	return sh.Collated || sh.InMemory && v.Spec.Limit > 0
}

// Untouched reports that the row with the key changes nothing: the binding does not hold
// it, and c is nil or lies beyond the boundary.
func (v *Member) Untouched(key driver.Key, c *Fetched) bool {
	h := v.Holding()
	if !h.Get(key).IsZero() {
		return false
	}
	if c == nil {
		return true
	}
	sh, w := v.Shape.Load(), h.Window
	return w != nil && !w.complete && !sh.Collated && sh.OrderOf(v.Loader, c.Row, key) > w.bound
}

// unranked is the rank of a row that was not read in order.
const unranked = -1

// hold adds or updates the row, unless it lies beyond the boundary. before is the earlier
// row if it was already taken out. rank is the row's number in the database's order, for
// collated bindings.
func (t *Step) hold(c *Fetched, js []byte, before live.Row, rank int) {
	w, old := t.Window, t.Held(c.Key)
	if before.IsZero() {
		before = old
	}
	var place string
	switch {
	case !t.Shape.Collated:
		place = t.Shape.OrderOf(t.Member.Loader, c.Row, c.Key)
		if !w.complete && place > w.bound {
			t.drop(c.Key)
			return
		}
	case rank != unranked:
		place = string(binary.BigEndian.AppendUint64(nil, uint64(rank)))
	case !old.IsZero() && t.Shape.OrderOf(t.Member.Loader, old.Value(), old.Key()) == t.Shape.OrderOf(t.Member.Loader, c.Row, c.Key):
		place = old.OrderKey()
	default:
		t.unplaced = true
		return
	}
	r := before
	if r.IsZero() || r.Restored() || r.OrderKey() != place || !bytes.Equal(r.JSON(), js) || !reflect.DeepEqual(r.Value(), c.Row) {
		r = t.Shape.Row(c, place, js, before, t.now)
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
		t.Edit.Put(r)
	}
	t.touch(c.Key)
	t.balance()
}

// drop removes the row, if it is held.
func (t *Step) drop(key driver.Key) {
	if r := t.Held(key); !r.IsZero() {
		t.unhold(r)
		t.touch(key)
		t.balance()
	}
}

// Held returns the row that is shown or in the margin, or the zero Row.
func (t *Step) Held(key driver.Key) live.Row {
	if r, ok := t.Edit.Get(key); ok || t.Window == nil {
		return r
	}
	r, _ := t.Window.rows.Get(string(key))
	return r
}

// unhold removes a held row from the shown ones or the margin.
func (t *Step) unhold(r live.Row) {
	if _, shown := t.Edit.Take(r.Key()); !shown {
		t.Window.remove(r)
	}
}

func (w *window) add(r live.Row) {
	w.bytes += marginOverhead + 2*len(r.JSON())
	w.rows.Set(string(r.Key()), r)
	w.ordered.Set(r.OrderKey(), r)
}

func (w *window) remove(r live.Row) {
	w.bytes -= marginOverhead + 2*len(r.JSON())
	w.rows.Delete(string(r.Key()))
	w.ordered.Delete(r.OrderKey())
}

// balance moves rows between the shown ones and the margin until the limit is met.
func (t *Step) balance() {
	limit := t.Member.limit()
	for t.Edit.Len() > limit {
		last, _ := t.Edit.Last()
		t.Edit.Take(last.Key())
		t.Window.add(last)
		t.touch(last.Key())
	}
	for t.Edit.Len() < limit && t.Window.rows.Len() > 0 {
		_, next, _ := t.Window.ordered.Min()
		t.Window.remove(next)
		t.Edit.Put(next)
		t.touch(next.Key())
	}
}

func (v *Member) limit() int {
	if v.Spec.Limit == 0 {
		return math.MaxInt
	}
	return v.Spec.Limit
}

// touch notes that the row may have been added, removed or moved.
func (t *Step) touch(key driver.Key) {
	if _, ok := t.touched[key]; ok {
		return
	}
	if t.touched == nil {
		t.touched = make(map[driver.Key]struct{})
	}
	t.touched[key] = struct{}{}
	t.Order = append(t.Order, key)
}

// Refill makes all, the first rows in the binding's order, the only rows held. complete says
// that there are no others. It calls fail for rows that cannot be encoded, so fewer rows
// than the limit may be shown, and with the key "" if two rows have the same key.
func (t *Step) Refill(all []*Fetched, complete bool, fail func(driver.Key, error)) {
	w := t.Window
	w.bound, w.complete, t.unplaced, t.short = "", complete, false, false
	keep := make(map[driver.Key]struct{}, len(all))
	for _, c := range all {
		keep[c.Key] = struct{}{}
		if !t.Shape.Collated {
			w.bound = max(w.bound, t.Shape.OrderOf(t.Member.Loader, c.Row, c.Key))
		}
	}
	if len(keep) < len(all) {
		fail("", t.Shape.sameKeys())
		return
	}
	before := make(map[driver.Key]live.Row)
	visit := func(r live.Row) bool {
		// Numbers from an earlier answer mean nothing in this one.
		if _, ok := keep[r.Key()]; !ok || t.Shape.Collated {
			before[r.Key()] = r
		}
		return true
	}
	t.Edit.Each(visit)
	w.rows.Scan(func(_ string, r live.Row) bool { return visit(r) })
	for _, key := range slices.Sorted(maps.Keys(before)) {
		t.unhold(before[key])
		t.touch(key)
	}
	t.balance()
	for i, c := range all {
		js, err := c.Encoded(t.Member.Loader, t.Shape.Encoder)
		if err != nil {
			t.short = true
			fail(c.Key, err)
			continue
		}
		t.hold(c, js, before[c.Key], i)
	}
}

// Settle ends the step: it trims the margin. It returns false if the rows held do not
// determine which to show, so that the binding must be read in full. Without a window it
// does nothing and returns true.
func (t *Step) Settle() bool {
	w := t.Window
	if w == nil || t.settled {
		return true
	}
	if t.unplaced || !w.complete && !t.short && t.Edit.Len() < t.Member.Spec.Limit {
		return false
	}
	t.settled = true
	if reach := t.Member.Reach(); reach > 0 {
		t.trim(reach)
	}
	if t.Shape.Collated && (t.Anew || len(t.Order) > 0) {
		t.Edit.MarkOrder()
	}
	return true
}

// trim drops the last rows of the margin until at most reach rows are held.
func (t *Step) trim(reach int) {
	w := t.Window
	if t.Edit.Len()+w.rows.Len() <= reach {
		return
	}
	for t.Edit.Len()+w.rows.Len() > reach {
		_, last, _ := w.ordered.Max() // not empty: at most limit rows are shown
		w.remove(last)
		t.touch(last.Key())
	}
	w.complete = false
	if _, last, ok := w.ordered.Max(); ok {
		w.bound = last.OrderKey()
	} else if last, ok := t.Edit.Last(); ok {
		w.bound = last.OrderKey()
	}
}
