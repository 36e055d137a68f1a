package core

import (
	"context"
	"reflect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/audit"
	"github.com/binderyhq/bindery/core/internal/index"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/value"
)

// reading reads the rows that some bindings of one loader are compared with.
type reading struct {
	pass     *pass
	read     reader
	asked    *publisher // the database decides its membership: it is the only one
	limited  bool       // and how far it reaches
	bindings []*publisher
	held     []audit.Binding
	number   map[*publisher]int
	index    *index.Index[*publisher] // of many bindings, nil of few

	// The rows compared last: bindings that share a row share the answer.
	was, is any
	same    bool
}

var _ audit.Reading = (*reading)(nil)

func (r *reading) enter(v *publisher) {
	r.bindings = append(r.bindings, v)
	r.held = append(r.held, &heldBy{r, v})
}

// Bindings implements [audit.Reading].
func (r *reading) Bindings() []audit.Binding {
	if r.asked == nil && len(r.bindings) > fewViews && r.index == nil {
		r.index, r.number = index.New[*publisher](), make(map[*publisher]int, len(r.bindings))
		for i, v := range r.bindings {
			r.index.Add(v, v.filter, v.shape.Load().columnOf)
			r.number[v] = i
		}
	}
	return r.held
}

// Scan implements [audit.Reading].
func (r *reading) Scan(_ context.Context, visit func([]audit.Row) error) ([]driver.Key, error) {
	var q driver.Query
	if v := r.asked; r.limited {
		q = driver.Query{Filter: v.filter, Where: v.spec.where, Order: v.shape.Load().orderBy, Limit: v.reach()}
		rows, err := r.read.query(r.pass.ctx, q)
		unread, err := unreadRows(err)
		if err != nil {
			return nil, err
		}
		return unread, visit(r.rowsOf(rows))
	}
	switch {
	case r.asked != nil:
		q.Filter, q.Where = r.asked.filter, r.asked.spec.where
	case len(r.bindings) == 1 && r.read.canQuery():
		q.Filter = r.bindings[0].filter
	}
	return unreadRows(r.read.scan(r.pass.ctx, q, comparingPiece, func(rows []any) error { return visit(r.rowsOf(rows)) }))
}

// unreadRows takes out of an error the keys of rows that could not be read, if it
// is about nothing else.
func unreadRows(err error) (unread []driver.Key, other error) {
	bad := driver.RowErrors(err)
	if bad == nil {
		return nil, err
	}
	for _, e := range bad {
		unread = append(unread, e.Key)
	}
	return unread, nil
}

// rowsOf takes up rows as a loader returned them. It leaves out those without a
// key, which belong to nobody.
func (r *reading) rowsOf(rows []any) []audit.Row {
	sh := r.bindings[0].shape.Load()
	found := make([]audit.Row, 0, len(rows))
	for _, row := range rows {
		if key, err := sh.keyOf(r.read, row); err == nil {
			found = append(found, audit.Row{Key: key, Value: row})
		}
	}
	return found
}

// Find implements [audit.Reading].
func (r *reading) Find(_ context.Context, keys []driver.Key) ([]audit.Row, []driver.Key, error) {
	var rows []any
	var err error
	if v := r.asked; v != nil {
		rows, err = r.read.query(r.pass.ctx, driver.Query{Filter: v.filter, Where: v.spec.where, Keys: keys})
	} else {
		rows, err = r.read.load(r.pass.ctx, keys)
	}
	unread, err := unreadRows(err)
	if err != nil {
		return nil, nil, err
	}
	return r.rowsOf(rows), unread, nil
}

// Match implements [audit.Reading].
func (r *reading) Match(row any, visit func(int)) {
	if r.asked != nil {
		visit(0)
		return
	}
	get := func(column int) value.Value { return r.read.value(row, column) }
	if r.index == nil {
		for i, v := range r.bindings {
			if v.shape.Load().meets(get) {
				visit(i)
			}
		}
		return
	}
	r.index.Match(get, func(v *publisher) {
		if v.shape.Load().meets(get) {
			visit(r.number[v])
		}
	})
}

// equal reports whether Go sees no difference between two rows.
func (r *reading) equal(was, is any) bool {
	if was != r.was || is != r.is {
		r.was, r.is, r.same = was, is, reflect.DeepEqual(was, is)
	}
	return r.same
}

// heldBy is a binding as a comparison sees it.
type heldBy struct {
	r *reading
	v *publisher
}

// Holds implements [audit.Binding].
func (h *heldBy) Holds(row audit.Row) (held, same bool) {
	holding := h.v.holding()
	if holding.shown == nil {
		return false, true
	}
	if r := holding.get(row.Key); !r.IsZero() {
		return true, h.r.equal(r.Value(), row.Value)
	}
	if h.r.limited {
		return false, false
	}
	return false, h.v.untouched(row.Key, &candidate{key: row.Key, row: row.Value})
}

// Keys implements [audit.Binding].
func (h *heldBy) Keys(visit func(driver.Key) bool) {
	h.v.holding().each(func(r live.Row) bool { return visit(r.Key()) })
}
