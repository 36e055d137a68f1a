package core

import (
	"context"
	"fmt"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/value"
)

// precheck refuses a write to a row that the binding does not hold, or that may
// not be written, without a lock: to wait for one tells that somebody is at
// work on the row. A row that the binding shows has been seen anyway, and is
// looked at once, when it is locked.
func (o *writing) precheck(ctx context.Context) error {
	if o.w.Op == live.Insert {
		return nil
	}
	if _, shown := o.v.Snapshot().Get(o.key); !shown {
		member, err := o.isMember(ctx)
		if err != nil {
			return err
		}
		if !member {
			return live.ErrNoRow
		}
	}
	return o.checkBounds(ctx)
}

// checkBounds makes sure that the row is one that may be written.
func (o *writing) checkBounds(ctx context.Context) error {
	in, err := o.meets(ctx, o.bounds.scope)
	if err == nil && !in {
		err = o.bounds.denied
	}
	return err
}

// checkValues refuses a row that is certain to lie outside, before the database
// may object to it: its constraints know rows that the client may not.
func (o *writing) checkValues(row any, known []string) error {
	if !o.v.Spec.Rules.RowsMayLeave && !o.mayMeet(o.v.Filter, row, known) || !o.mayMeet(o.v.Scope, row, known) {
		return o.wouldLeave()
	}
	if !o.mayMeet(o.bounds.scope, row, known) {
		return o.bounds.denied
	}
	return nil
}

// mayMeet reports whether the row can meet the filter, as far as the values of
// the known columns tell.
func (o *writing) mayMeet(e filter.Expr, row any, known []string) bool {
	if e == nil || filter.Check(e, o.sh.KindOf) != nil || !o.sh.Exact(e) && o.v.Loader.CanQuery() {
		return true
	}
	program, err := o.sh.Compile(e)
	if err != nil {
		return true
	}
	guessed := false
	truth := program.Eval(func(column int) value.Value {
		if !slices.Contains(known, o.sh.Schema.Columns[column].Name) {
			guessed = true // as NULL: comparisons with it are unknown
			return value.Null()
		}
		return o.v.Loader.Value(row, column)
	})
	if guessed {
		return truth != filter.False || filter.TestsNull(e)
	}
	return truth == filter.True
}

// meets reports whether the row, as the transaction sees it, meets the filter.
func (o *writing) meets(ctx context.Context, e filter.Expr) (bool, error) {
	if e == nil {
		return true, nil
	}
	if err := filter.Check(e, o.sh.KindOf); err != nil {
		return false, o.sh.FilterError(err)
	}
	if o.sh.Exact(e) || !o.v.Loader.CanQuery() {
		c, err := o.pick(o.v.Loader.Load(ctx, []driver.Key{o.key}))
		if c == nil || err != nil {
			return false, err
		}
		one := rowset.Shape{Layout: o.sh.Layout}
		if err := one.SetFilter(e); err != nil {
			return false, err
		}
		return one.Holds(o.v.Loader, c.Row), nil
	}
	c, err := o.pick(o.v.Loader.Query(ctx, driver.Query{Keys: []driver.Key{o.key}, Filter: e}))
	return c != nil, err
}

// isMember reports whether the binding holds the row, by reads that take the
// same way whether the row is elsewhere or nowhere.
func (o *writing) isMember(ctx context.Context) (bool, error) {
	if !o.sh.InMemory {
		c, err := o.pick(o.v.Loader.Query(ctx, driver.Query{Keys: []driver.Key{o.key}, Filter: o.v.Filter, Where: o.v.Spec.Where}))
		if c == nil || err != nil {
			return false, err
		}
	} else {
		c, err := o.pick(o.v.Loader.Load(ctx, []driver.Key{o.key}))
		if c == nil || err != nil || !o.sh.Holds(o.v.Loader, c.Row) {
			return false, err
		}
	}
	return o.isWithinLimit(ctx)
}

// isWithinLimit reports whether a row that meets the filter is among the first
// rows, for a binding of those.
func (o *writing) isWithinLimit(ctx context.Context) (bool, error) {
	if o.v.Spec.Limit == 0 {
		return true, nil
	}
	q := driver.Query{Filter: o.v.Filter, Where: o.v.Spec.Where, Order: o.sh.OrderBy, Limit: o.v.Spec.Limit}
	if o.v.Loader.CanQuery() {
		c, err := o.pick(o.v.Loader.Query(ctx, q))
		return c != nil, err
	}
	rows, err := o.v.Loader.Load(ctx, nil)
	if err := o.aboutItsRow(err); err != nil {
		return false, err
	}
	all, _ := o.sh.TakeUp(o.v.Loader, rows)
	place, before := "", 0
	for i := range all {
		if all[i].Key == o.key {
			place = o.sh.OrderOf(o.v.Loader, all[i].Row, all[i].Key)
		}
	}
	for i := range all {
		if o.sh.Holds(o.v.Loader, all[i].Row) && o.sh.OrderOf(o.v.Loader, all[i].Row, all[i].Key) < place {
			before++
		}
	}
	return before < o.v.Spec.Limit, nil
}

// find reads the row as the transaction sees it, the zero Row when there is none,
// and whether the binding holds it.
func (o *writing) find(ctx context.Context) (row live.Row, member bool, err error) {
	r := o.v.Loader
	c, err := o.pick(r.Load(ctx, []driver.Key{o.key}))
	if c == nil || err != nil {
		return live.Row{}, false, err
	}
	if o.sh.InMemory {
		member = o.sh.Holds(r, c.Row)
	} else {
		in, err := o.pick(r.Query(ctx, driver.Query{Keys: []driver.Key{o.key}, Filter: o.v.Filter, Where: o.v.Spec.Where}))
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
	js, err := c.Encoded(r, o.sh.Encoder)
	if err != nil {
		return live.Row{}, false, fmt.Errorf("core: binding %q: %w", o.v.Name(), err)
	}
	return o.sh.Row(c, o.sh.OrderOf(r, c.Row, c.Key), js, live.Row{}, o.v.now()), member, nil
}

// aboutItsRow drops an error that is about other rows alone.
func (o *writing) aboutItsRow(err error) error {
	bad := driver.RowErrors(err)
	if bad == nil || slices.ContainsFunc(bad, func(e *driver.RowError) bool { return e.Key == o.key }) {
		return err
	}
	return nil
}

// pick returns the row with the write's key among those read.
func (o *writing) pick(rows []any, err error) (*rowset.Fetched, error) {
	if err := o.aboutItsRow(err); err != nil {
		return nil, err
	}
	found, nameless := o.sh.TakeUp(o.v.Loader, rows)
	if len(nameless) > 0 && len(rows) == 1 {
		return nil, nameless[0].Err
	}
	for i := range found {
		if found[i].Key == o.key {
			return &found[i], nil
		}
	}
	return nil, nil
}
