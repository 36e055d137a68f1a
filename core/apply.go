package core

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/value"
)

// candidate is a row as read, before it is known which bindings hold it. It is
// shared by the bindings of one loader.
type candidate struct {
	key   driver.Key
	row   any
	json  []byte     // as the zero encoder makes it; nil: not yet made
	shown []encoding // by other encoders
	rows  []familyRow
}

// candidates turns rows as a loader returned them into candidates. Rows whose
// key cannot be told are returned apart.
func (sh *shape) candidates(r reader, rows []any) (out []candidate, nameless []namelessRow) {
	out = make([]candidate, 0, len(rows))
	for _, row := range rows {
		key, err := guard("Value", func() (driver.Key, error) { return sh.keyOf(r, row) })
		if err != nil {
			nameless = append(nameless, namelessRow{row, err})
			continue
		}
		out = append(out, candidate{key: key, row: row})
	}
	return out, nameless
}

// holds is the test for membership that is made in memory.
func (sh *shape) holds(r reader, row any) bool {
	return sh.meets(func(column int) value.Value { return r.value(row, column) })
}

// meets is holds for a row of which get returns the values, so that many
// bindings can be asked about one row.
func (sh *shape) meets(get func(column int) value.Value) bool {
	return sh.program == nil || sh.program.Eval(get) == filter.True
}

// row makes the row's encoded form. before is the row as it was, the zero Row if
// there was none. Members of a family share what shows alike in them.
func (sh *shape) row(c *candidate, place string, js []byte, before live.Row, now time.Time) live.Row {
	content := live.Content{Key: c.key, Place: place, Numbered: sh.collated, JSON: js, Value: c.row}
	if sh.collated {
		return sh.print.Row(content, before, now)
	}
	for _, one := range c.rows {
		if one.layout != sh.layout || one.row.Place() != place || one.row.Value() != c.row || !bytes.Equal(one.row.JSON(), js) {
			continue
		}
		if shared, ok := one.row.Share(sh.print, before); ok {
			return shared
		}
	}
	row := sh.print.Row(content, before, now)
	c.keepRow(sh.layout, row)
	return row
}

// familyRow is a row as the members of one family show it.
type familyRow struct {
	layout *layout
	row    live.Row
}

// keepRow keeps the row for other members of the family.
func (c *candidate) keepRow(l *layout, row live.Row) {
	for i := range c.rows {
		if c.rows[i].layout == l {
			return
		}
	}
	c.rows = append(c.rows[:len(c.rows):len(c.rows)], familyRow{l, row})
}

// transition is a binding's way from one set of rows to the next: rows are put
// and removed, and what really differs becomes the event.
type transition struct {
	v    *publisher
	sh   *shape
	now  time.Time
	edit *live.Edit
	anew bool // it begins with nothing: the first load, or a Clear

	unseen []driver.Key // of rows that changed in what clients do not see, without a window

	// Of a binding with a window.
	window   *window
	touched  map[driver.Key]struct{} // rows that may have come, gone or moved
	order    []driver.Key            // of touched, as they came
	unplaced bool                    // only the database knows where a row stands
	settled  bool
	short    bool // rows were left out, so fewer than the limit may be shown
}

// begin starts a transition from the current rows, or from nothing.
func (v *publisher) begin(sh *shape, anew bool, now time.Time) *transition {
	t := &transition{v: v, sh: sh, now: now, edit: v.pub.Edit(sh.print, anew)}
	t.anew = t.edit.From() == nil
	switch {
	case t.anew && v.windowed():
		t.window = newWindow()
	case !t.anew && v.holding().window != nil:
		t.window = v.holding().window.copy()
	}
	return t
}

// put makes the row part of the binding.
func (t *transition) put(c *candidate) error {
	r := t.v.read
	js, err := c.encoded(r, t.sh.enc)
	if err != nil {
		return err
	}
	if t.window != nil {
		t.hold(c, js, live.Row{}, unranked)
		return nil
	}
	place := t.sh.orderOf(r, c.row, c.key)
	old, exists := t.edit.Get(c.key)
	if exists && old.Place() == place && bytes.Equal(old.JSON(), js) {
		// An equal row is no event. Go code may see more of it than clients do
		// (fields that are not encoded): then it gets the new one.
		if !reflect.DeepEqual(old.Value(), c.row) {
			t.edit.Put(old.With(c.row))
			t.unseen = append(t.unseen, c.key)
		}
		return nil
	}
	t.edit.Put(t.sh.row(c, place, js, old, t.now))
	return nil
}

// remove takes the row out, if the binding holds it.
func (t *transition) remove(key driver.Key) {
	if t.window != nil {
		t.drop(key)
		return
	}
	t.edit.Take(key)
}

// replace makes the candidates all there is. Those that cannot be encoded are
// given to fail.
func (t *transition) replace(all []*candidate, fail func(driver.Key, error)) {
	keep := make(map[driver.Key]struct{}, len(all))
	for _, c := range all {
		keep[c.key] = struct{}{}
	}
	if len(keep) < len(all) {
		fail("", t.sh.sameKeys())
		return
	}
	var gone []driver.Key
	t.edit.Each(func(r live.Row) bool {
		if _, ok := keep[r.Key()]; !ok {
			gone = append(gone, r.Key())
		}
		return true
	})
	for _, key := range gone {
		t.remove(key)
	}
	for _, c := range all {
		if err := t.put(c); err != nil {
			fail(c.key, err)
		}
	}
}

func (sh *shape) sameKeys() error {
	return fmt.Errorf("table %q: two rows of one key: the key columns %q do not tell rows apart", sh.schema.Table, sh.schema.Key)
}

// finish publishes the result. The feed's goroutine calls it. It
// returns what to tell observers of, nil for nothing, and whether the binding has
// taken the result over; one that has ended does not.
func (t *transition) finish() (*live.Event, bool) {
	e, ok := t.v.pub.Publish(t.edit, t.now)
	if ok {
		t.v.hold(t.window)
	}
	return e, ok
}

// firstRows returns the first n rows in the binding's order, for loaders that
// do not limit their answers.
func (sh *shape) firstRows(r reader, rows []*candidate, n int) []*candidate {
	type placed struct {
		order string
		at    int
	}
	places := make([]placed, len(rows))
	for i := range rows {
		places[i] = placed{sh.orderOf(r, rows[i].row, rows[i].key), i}
	}
	slices.SortFunc(places, func(a, b placed) int { return strings.Compare(a.order, b.order) })
	first := make([]*candidate, n)
	for i := range first {
		first[i] = rows[places[i].at]
	}
	return first
}
