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

// Fetched is a row as read, before it is known which bindings hold it. It is
// shared by the bindings of one loader.
type Fetched struct {
	Key   driver.Key
	Row   any
	json  []byte     // as the zero encoder makes it; nil: not yet made
	shown []encoding // by other encoders
	rows  []familyRow
}

// Copy returns the row for another goroutine, which may add encodings to it.
func (c *Fetched) Copy() Fetched {
	row := *c
	row.shown, row.rows = slices.Clip(row.shown), slices.Clip(row.rows)
	return row
}

// TakeUp takes up rows as a loader returned them. Rows whose
// key cannot be told are returned apart.
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

// Keyless is a row whose key cannot be told.
type Keyless struct {
	Row any
	Err error
}

// Holds is the test for membership that is made in memory.
func (sh *Shape) Holds(r untyped.Loader, row any) bool {
	return sh.Meets(func(column int) value.Value { return r.Value(row, column) })
}

// Meets is holds for a row of which get returns the values, so that many
// bindings can be asked about one row.
func (sh *Shape) Meets(get func(column int) value.Value) bool {
	return sh.program == nil || sh.program.Eval(get) == filter.True
}

// Row makes the row's encoded form. before is the row as it was, the zero Row if
// there was none. Members of a family share what shows alike in them.
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

// familyRow is a row as the members of one family show it.
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

// Step is a member's way from one set of rows to the next: rows are put
// and removed, and what really differs becomes the event.
type Step struct {
	Member *Member
	Shape  *Shape
	now    time.Time
	Edit   *live.Edit
	Anew   bool // it begins with nothing: the first load, or a Clear

	// Of a binding with a window.
	Window   *window
	touched  map[driver.Key]struct{} // rows that may have come, gone or moved
	Order    []driver.Key            // of touched, as they came
	unplaced bool                    // only the database knows where a row stands
	settled  bool
	short    bool // rows were left out, so fewer than the limit may be shown
}

// Begin starts a step from the current rows, or from nothing. The current rows may
// have been restored; then the step is the first read in full.
func (v *Member) Begin(sh *Shape, anew bool, now time.Time) *Step {
	t := &Step{Member: v, Shape: sh, now: now, Edit: v.Publisher.Edit(sh.print, anew)}
	t.Anew = t.Edit.From() == nil
	switch w := v.Holding().Window; {
	case !v.windowed(): // any more: filters may come to be asked of the database
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
		// An equal row is no event. Go code may see more of it than clients do
		// (fields that are not encoded): then it gets the new one.
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

// Replace makes the rows all there is. Those that cannot be encoded are
// given to fail.
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

// Reopen lets further rows be put and removed after Settle.
func (t *Step) Reopen() { t.settled = false }

// Each calls visit with the key of every row that the step changes in what the
// binding holds, each once: rows that come, go or move, and those of which only Go
// code sees the change.
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

// Publish publishes the result. The feed's goroutine calls it. It
// returns what to tell observers of, nil for nothing, and whether the binding has
// taken the result over; one that has ended does not.
func (t *Step) Publish() (*live.Event, bool) {
	e, ok := t.Member.Publisher.Publish(t.Edit, t.now)
	if ok {
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
