package rowset

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/value"
)

// Fetched is a row as read. The bindings of one loader share it.
type Fetched struct {
	Key   driver.Key
	Row   any
	json  []byte     // by the zero encoder; nil: not made yet
	shown []encoding // by other encoders
	rows  []familyRow
}

// Copy returns a copy to which another goroutine may add encodings.
func (c *Fetched) Copy() Fetched {
	row := *c
	row.shown, row.rows = slices.Clip(row.shown), slices.Clip(row.rows)
	return row
}

// TakeUp finds the keys of rows that a loader returned. nameless are the rows for which that
// fails.
func (sh *Shape) TakeUp(r untyped.Loader, rows []any) (out []Fetched, nameless []Keyless) {
	out = make([]Fetched, 0, len(rows))
	for _, row := range rows {
		key, err := untyped.Guard("Value", func() (driver.Key, error) { return sh.KeyOf(r, row) })
		if err != nil {
			nameless = append(nameless, Keyless{row, err})
			continue
		}
		out = append(out, Fetched{Key: key, Row: row})
	}
	return out, nameless
}

// Keyless is a row whose key could not be found, and why.
type Keyless struct {
	Row any
	Err error
}

// Holds reports whether the row meets the binding's filter, decided in memory.
func (sh *Shape) Holds(r untyped.Loader, row any) bool {
	return sh.Meets(func(column int) value.Value { return r.Value(row, column) })
}

// Meets is [Shape.Holds] for a row whose column values get returns, so that many bindings
// can be asked about one row.
func (sh *Shape) Meets(get func(column int) value.Value) bool {
	return sh.program == nil || sh.program.Eval(get) == filter.True
}

// Row makes the row that a binding holds. before is the row that it replaces, or the zero
// Row. Members of a family share rows that they encode alike.
func (sh *Shape) Row(c *Fetched, place string, js []byte, before live.Row, now time.Time) live.Row {
	content := live.Content{Key: c.Key, OrderKey: place, Numbered: sh.Collated, JSON: js, Value: c.Row}
	if sh.Collated {
		return sh.print.Row(content, before, now)
	}
	for _, one := range c.rows {
		if one.of != sh.Layout || one.row.OrderKey() != place || one.row.Value() != c.Row || !bytes.Equal(one.row.JSON(), js) {
			continue
		}
		if shared, ok := one.row.Share(sh.print, before); ok {
			return shared
		}
	}
	row := sh.print.Row(content, before, now)
	c.keepRow(sh, row)
	return row
}

// familyRow is a row as the members of one family hold it.
type familyRow struct {
	of  *Layout
	row live.Row
}

// keepRow keeps the row for other members of the family.
func (c *Fetched) keepRow(sh *Shape, row live.Row) {
	for i := range c.rows {
		if c.rows[i].of == sh.Layout {
			return
		}
	}
	c.rows = append(c.rows[:len(c.rows):len(c.rows)], familyRow{sh.Layout, row})
}

// Step takes a member from one set of rows to the next. Rows are put and removed, and those
// that differ become the event. One goroutine uses it.
type Step struct {
	Member *Member
	Shape  *Shape
	now    time.Time
	Edit   *live.Edit
	Anew   bool // it starts empty: the first load, or a Clear

	// The rest is for bindings with a window.
	Window   *window
	touched  map[driver.Key]struct{} // rows that may have come, gone or moved
	Order    []driver.Key            // touched, in the order of their first change
	unplaced bool                    // only the database knows the place of a row
	settled  bool
	short    bool // rows were left out, so fewer than the limit may be shown
}

// Begin starts a step from the current rows, or with anew from none. If the current rows
// were restored, the step must be the first read in full.
func (v *Member) Begin(sh *Shape, anew bool, now time.Time) *Step {
	t := &Step{Member: v, Shape: sh, now: now, Edit: v.Publisher.Edit(sh.print, anew)}
	t.Anew = t.Edit.From() == nil
	switch w := v.Holding().Window; {
	case !v.windowed(): // perhaps no longer: the database may now evaluate the filter
	case t.Anew || v.Unread() || w == nil:
		t.Window = newWindow()
	default:
		t.Window = w.copy()
	}
	return t
}

// Put makes the row part of the binding.
func (t *Step) Put(c *Fetched) error {
	r := t.Member.Loader
	js, err := c.Encoded(r, t.Shape.Encoder)
	if err != nil {
		return err
	}
	if t.Window != nil {
		t.hold(c, js, live.Row{}, unranked)
		return nil
	}
	place := t.Shape.OrderOf(r, c.Row, c.Key)
	old, exists := t.Edit.Get(c.Key)
	if exists && old.OrderKey() == place && bytes.Equal(old.JSON(), js) {
		// An equal row is no event. But fields that are not encoded may have changed: Go
		// code gets the new row.
		if old.Restored() || !reflect.DeepEqual(old.Value(), c.Row) {
			t.Edit.Put(old.With(c.Row, js))
		}
		return nil
	}
	t.Edit.Put(t.Shape.Row(c, place, js, old, t.now))
	return nil
}

// Remove takes the row out, if the binding holds it.
func (t *Step) Remove(key driver.Key) {
	if t.Window != nil {
		t.drop(key)
		return
	}
	t.Edit.Take(key)
}

// Replace makes all the only rows. It calls fail for rows that cannot be encoded, and with
// the key "" if two rows have the same key.
func (t *Step) Replace(all []*Fetched, fail func(driver.Key, error)) {
	keep := make(map[driver.Key]struct{}, len(all))
	for _, c := range all {
		keep[c.Key] = struct{}{}
	}
	if len(keep) < len(all) {
		fail("", t.Shape.sameKeys())
		return
	}
	var gone []driver.Key
	t.Edit.Each(func(r live.Row) bool {
		if _, ok := keep[r.Key()]; !ok {
			gone = append(gone, r.Key())
		}
		return true
	})
	for _, key := range gone {
		t.Remove(key)
	}
	for _, c := range all {
		if err := t.Put(c); err != nil {
			fail(c.Key, err)
		}
	}
}

func (sh *Shape) sameKeys() error {
	return fmt.Errorf("table %q: two rows of one key: the key columns %q do not tell rows apart", sh.Schema.Table, sh.Schema.Key)
}

// Reopen allows further rows to be put and removed after Settle.
func (t *Step) Reopen() { t.settled = false }

// Each calls visit once with the key of every row that the step adds, removes, moves or
// changes, even if clients do not see the change.
func (t *Step) Each(visit func(driver.Key)) {
	if t.Window != nil {
		for _, key := range t.Order {
			visit(key)
		}
		return
	}
	for _, key := range t.Edit.Touched() {
		visit(key)
	}
}

// Publish publishes the result. Only the feed's goroutine calls it. It returns the event for
// observers, nil if nothing changed, and false if the binding has ended.
func (t *Step) Publish() (*live.Event, bool) {
	held := false
	t.Edit.Current(func(*live.Snapshot) { // whoever waits for the member to load finds it read
		t.Member.Hold(t.Window)
		held = true
	})
	e, ok := t.Member.Publisher.Publish(t.Edit, t.now)
	if ok && !held {
		t.Member.Hold(t.Window)
	}
	return e, ok
}

// FirstRows returns the first n rows in the binding's order, for loaders that
// do not limit their answers.
func (sh *Shape) FirstRows(r untyped.Loader, rows []*Fetched, n int) []*Fetched {
	type placed struct {
		order string
		at    int
	}
	places := make([]placed, len(rows))
	for i := range rows {
		places[i] = placed{sh.OrderOf(r, rows[i].Row, rows[i].Key), i}
	}
	slices.SortFunc(places, func(a, b placed) int { return strings.Compare(a.order, b.order) })
	first := make([]*Fetched, n)
	for i := range first {
		first[i] = rows[places[i].at]
	}
	return first
}
