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
	bytes         int    // of the margin, estimated
}

// tree is an ordered map of rows; Copy shares everything until it is written to.
type tree = btree.Map[string, live.Row]

// marginOverhead is what a row of the margin takes beside its value and its
// encoding, in bytes.
const marginOverhead = 320

func newWindow() *window { return &window{rows: &tree{}, ordered: &tree{}} }

func (w *window) copy() *window {
	c := *w
	c.rows, c.ordered = w.rows.Copy(), w.ordered.Copy()
	return &c
}

// Holding is what a binding holds at one moment: the rows that it shows, and its
// window. It is immutable once it is the binding's.
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

// Unread reports whether the binding has not been read from the database yet. It may
// have rows all the same: those that an earlier run has saved.
func (v *Member) Unread() bool { return v.Holding().Shown == nil }

// Hold notes what the binding holds beside the rows that it now shows. Who
// publishes calls it.
func (v *Member) Hold(w *window) {
	before := v.Holding().Window
	v.held.Store(&Holding{v.Snapshot(), w})
	switch {
	case v.keeper == nil:
	case w != nil:
		v.keeper.Margin(w.bytes)
	case before != nil: // the database is asked now
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

// Reach is how many rows the binding holds when it has been read in full:
// those that it shows, and its margin. 0 means all there are.
func (v *Member) Reach() int {
	if v.Spec.Limit == 0 || !v.Shape.Load().InMemory {
		return v.Spec.Limit
	}
	return v.Spec.Limit + v.Spec.Margin
}

// windowed reports whether the binding's snapshots have a window.
func (v *Member) windowed() bool {
	sh := v.Shape.Load()
	return sh.Collated || sh.InMemory && v.Spec.Limit > 0
}

// Untouched reports that the binding neither holds the row of that key nor
// takes up the row that was read (nil: it has none for the binding).
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

// unranked is the rank of a row that was not read in the database's order.
const unranked = -1

// hold makes the row one of those that are held, if it belongs there. before is
// the row as it was, for one that is not held any more. rank is its number in
// the database's order, for bindings that have none of their own.
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

// drop lets go of the row, if it is held.
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

// unhold takes out a row that is held.
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

// balance moves a row over the limit when one too many is shown, or one too few.
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

// touch notes that the row may have come, gone or moved.
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

// Refill makes the rows, the first of the binding's order, all that is
// held. complete says that there are no others. Rows that cannot be encoded are
// given to fail; without them fewer than the limit may be shown.
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
		// A number in the last answer means nothing in this one.
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

// Settle ends a step of a binding with a window: it bounds the margin. It
// returns false when the rows that are held do not tell which are shown, so that
// the binding must be read.
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

// trim bounds what is held.
func (t *Step) trim(reach int) {
	w := t.Window
	if t.Edit.Len()+w.rows.Len() <= reach {
		return
	}
	for t.Edit.Len()+w.rows.Len() > reach {
		_, last, _ := w.ordered.Max() // no more than the limit are shown
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
