package onerow

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/value"
)

// Row finds out whether one row exists, and whether a binding holds it. It asks the
// database, in the transaction that ctx carries, and evaluates filters in Go where that
// gives the same answer.
type Row struct {
	Member *rowset.Member
	Shape  *rowset.Shape
	Key    driver.Key
}

// MayMeet reports whether the row can meet the filter, given only the values of the known
// columns.
func (o *Row) MayMeet(e filter.Expr, row any, known []string) bool {
	if e == nil || filter.Check(e, o.Shape.KindOf) != nil || !o.Shape.Exact(e) && o.Member.Loader.CanQuery() {
		return true
	}
	program, err := o.Shape.Compile(e)
	if err != nil {
		return true
	}
	guessed := false
	truth := program.Eval(func(column int) value.Value {
		if !slices.Contains(known, o.Shape.Schema.Columns[column].Name) {
			guessed = true // evaluated as NULL: comparisons are then unknown
			return value.Null()
		}
		return o.Member.Loader.Value(row, column)
	})
	if guessed {
		return truth != filter.False || filter.TestsNull(e)
	}
	return truth == filter.True
}

// Meets reports whether the row, as the transaction sees it, meets the filter.
func (o *Row) Meets(ctx context.Context, e filter.Expr) (bool, error) {
	if e == nil {
		return true, nil
	}
	if err := filter.Check(e, o.Shape.KindOf); err != nil {
		return false, o.Shape.FilterError(err)
	}
	if o.Shape.Exact(e) || !o.Member.Loader.CanQuery() {
		c, err := o.pick(o.Member.Loader.Load(ctx, []driver.Key{o.Key}))
		if o.isUnreadable(err) && o.Member.Loader.CanQuery() {
			return o.selects(ctx, driver.Query{Filter: e})
		}
		if c == nil || err != nil {
			return false, err
		}
		one := rowset.Shape{Layout: o.Shape.Layout}
		if err := one.SetFilter(e); err != nil {
			return false, err
		}
		return one.Holds(o.Member.Loader, c.Row), nil
	}
	return o.selects(ctx, driver.Query{Filter: e})
}

// selects reports whether the database finds the row by the query, readable or not.
func (o *Row) selects(ctx context.Context, q driver.Query) (bool, error) {
	if q.Limit == 0 {
		q.Keys = []driver.Key{o.Key}
	}
	c, err := o.pick(o.Member.Loader.Query(ctx, q))
	if o.isUnreadable(err) {
		return true, nil
	}
	return c != nil, err
}

// isUnreadable reports whether the error of a read says that this row cannot be read.
func (o *Row) isUnreadable(err error) bool {
	return slices.ContainsFunc(driver.RowErrors(err), func(e *driver.RowError) bool { return e.Key == o.Key })
}

// IsKey reports whether a row can have the key. A client's text may be no value of a type
// that only the database knows, such as an enumeration, and reading by it would fail.
func (o *Row) IsKey(ctx context.Context) (bool, error) {
	values, err := o.Key.Values()
	if err != nil || len(values) != len(o.Shape.Schema.Key) {
		return false, nil
	}
	for i, name := range o.Shape.Schema.Key {
		c := &o.Shape.Schema.Columns[o.Shape.Schema.Column(name)]
		if c.Check != nil && c.Check(values[i]) != "" {
			return false, nil
		}
		if !c.Asked {
			continue
		}
		if detail, err := o.Member.Loader.CheckLiteral(ctx, name, values[i]); detail != "" || err != nil {
			return false, err
		}
	}
	return true, nil
}

// IsMember reports whether the binding holds the row. It makes the same reads whether the
// row lies outside of the binding or does not exist, so timing tells clients nothing.
func (o *Row) IsMember(ctx context.Context) (bool, error) {
	var in bool
	var err error
	if !o.Shape.InMemory {
		in, err = o.selects(ctx, driver.Query{Filter: o.Member.Filter, Where: o.Member.Spec.Where})
	} else {
		var c *rowset.Fetched
		c, err = o.pick(o.Member.Loader.Load(ctx, []driver.Key{o.Key}))
		if o.isUnreadable(err) && o.Member.Loader.CanQuery() {
			in, err = o.selects(ctx, driver.Query{Filter: o.Member.Filter})
		} else {
			in = c != nil && o.Shape.Holds(o.Member.Loader, c.Row)
		}
	}
	if !in || err != nil {
		return false, err
	}
	return o.isWithinLimit(ctx)
}

// isWithinLimit reports whether a row that meets the filter is within the binding's limit.
// It is true for a binding without one.
func (o *Row) isWithinLimit(ctx context.Context) (bool, error) {
	if o.Member.Spec.Limit == 0 {
		return true, nil
	}
	q := driver.Query{Filter: o.Member.Filter, Where: o.Member.Spec.Where, Order: o.Shape.OrderBy, Limit: o.Member.Spec.Limit}
	if o.Member.Loader.CanQuery() {
		return o.selects(ctx, q)
	}
	rows, err := o.Member.Loader.Load(ctx, nil)
	if err := o.aboutItsRow(err); err != nil {
		return false, err
	}
	all, _ := o.Shape.TakeUp(o.Member.Loader, rows)
	orderKey, before := "", 0
	for i := range all {
		if all[i].Key == o.Key {
			orderKey = o.Shape.OrderOf(o.Member.Loader, all[i].Row, all[i].Key)
		}
	}
	for i := range all {
		if o.Shape.Holds(o.Member.Loader, all[i].Row) && o.Shape.OrderOf(o.Member.Loader, all[i].Row, all[i].Key) < orderKey {
			before++
		}
	}
	return before < o.Member.Spec.Limit, nil
}

// UnreadableError says that the row cannot be read, or not be shown.
type UnreadableError struct {
	Row any // the row, a *T, if only showing it fails
	Err error
}

// Error returns the cause's text.
func (e *UnreadableError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *UnreadableError) Unwrap() error { return e.Err }

// Find returns the row as the transaction sees it, the zero Row if there is none, and
// whether the binding holds it. The error is an [*UnreadableError] if the database has the
// row, and it cannot be read or shown.
func (o *Row) Find(ctx context.Context, now time.Time) (row live.Row, member bool, err error) {
	r := o.Member.Loader
	c, err := o.pick(r.Load(ctx, []driver.Key{o.Key}))
	if o.isUnreadable(err) {
		return live.Row{}, false, &UnreadableError{Err: err}
	}
	if c == nil || err != nil {
		return live.Row{}, false, err
	}
	if o.Shape.InMemory {
		member = o.Shape.Holds(r, c.Row)
	} else {
		in, err := o.pick(r.Query(ctx, driver.Query{Keys: []driver.Key{o.Key}, Filter: o.Member.Filter, Where: o.Member.Spec.Where}))
		if err != nil {
			return live.Row{}, false, err
		}
		member = in != nil
	}
	if member {
		if member, err = o.isWithinLimit(ctx); err != nil {
			return live.Row{}, false, err
		}
	}
	js, err := c.Encoded(r, o.Shape.Encoder)
	if err != nil {
		return live.Row{}, false, &UnreadableError{Row: c.Row, Err: fmt.Errorf("core: binding %q: %w", o.Member.Name(), err)}
	}
	return o.Shape.Row(c, o.Shape.OrderOf(r, c.Row, c.Key), js, live.Row{}, now), member, nil
}

// aboutItsRow returns the error, but nil if it is only about other rows.
func (o *Row) aboutItsRow(err error) error {
	if driver.RowErrors(err) == nil || o.isUnreadable(err) {
		return err
	}
	return nil
}

// pick returns the row with the key among those read, nil if there is none.
func (o *Row) pick(rows []any, err error) (*rowset.Fetched, error) {
	if err := o.aboutItsRow(err); err != nil {
		return nil, err
	}
	found, nameless := o.Shape.TakeUp(o.Member.Loader, rows)
	if len(nameless) > 0 && len(rows) == 1 {
		return nil, nameless[0].Err
	}
	for i := range found {
		if found[i].Key == o.Key {
			return &found[i], nil
		}
	}
	return nil, nil
}
