package feed

import (
	"context"
	"reflect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/audit"
	"github.com/binderyhq/bindery/core/internal/concern"
	"github.com/binderyhq/bindery/core/internal/index"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/value"
)

// reading reads the rows that some bindings of one loader are compared with.
type reading struct {
	pass     *pass
	read     untyped.Loader
	asked    *rowset.Member // the database decides its membership: it is the only one
	limited  bool           // and how far it reaches
	bindings []*rowset.Member
	held     []audit.Binding
	number   map[*rowset.Member]int
	index    *index.Index[*rowset.Member] // of many bindings, nil of few

	// The rows compared last: bindings that share a row share the answer.
	was, is any
	same    bool
}

var _ audit.Reading = (*reading)(nil)

func (r *reading) enter(v *rowset.Member) {
	r.bindings = append(r.bindings, v)
	r.held = append(r.held, &heldBy{r, v})
}

// Bindings implements [audit.Reading].
func (r *reading) Bindings() []audit.Binding {
	if r.asked == nil && len(r.bindings) > concern.Few && r.index == nil {
		r.index, r.number = index.New[*rowset.Member](), make(map[*rowset.Member]int, len(r.bindings))
		for i, v := range r.bindings {
			r.index.Add(v, v.Shape.Load().Spelled(v.Filter), v.Shape.Load().ColumnOf)
			r.number[v] = i
		}
	}
	return r.held
}

// Scan implements [audit.Reading].
func (r *reading) Scan(_ context.Context, visit func([]audit.Row) error) ([]driver.Key, error) {
	var q driver.Query
	if v := r.asked; r.limited {
		q = driver.Query{Filter: v.Filter, Where: v.Spec.Where, Order: v.Shape.Load().OrderBy, Limit: v.Reach()}
		rows, err := r.read.Query(r.pass.ctx, q)
		unread, err := unreadRows(err)
		if err != nil {
			return nil, err
		}
		return unread, visit(r.rowsOf(rows))
	}
	switch {
	case r.asked != nil:
		q.Filter, q.Where = r.asked.Filter, r.asked.Spec.Where
	case len(r.bindings) == 1 && r.read.CanQuery():
		q.Filter = r.bindings[0].Filter
	}
	return unreadRows(r.read.Scan(r.pass.ctx, q, comparingPiece, func(rows []any) error { return visit(r.rowsOf(rows)) }))
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
	sh := r.bindings[0].Shape.Load()
	found := make([]audit.Row, 0, len(rows))
	for _, row := range rows {
		if key, err := sh.KeyOf(r.read, row); err == nil {
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
		rows, err = r.read.Query(r.pass.ctx, driver.Query{Filter: v.Filter, Where: v.Spec.Where, Keys: keys})
	} else {
		rows, err = r.read.Load(r.pass.ctx, keys)
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
	get := func(column int) value.Value { return r.read.Value(row, column) }
	if r.index == nil {
		for i, v := range r.bindings {
			if v.Shape.Load().Meets(get) {
				visit(i)
			}
		}
		return
	}
	r.index.Match(get, func(v *rowset.Member) {
		if v.Shape.Load().Meets(get) {
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
	v *rowset.Member
}

// Holds implements [audit.Binding].
func (h *heldBy) Holds(row audit.Row) (held, same bool) {
	holding := h.v.Holding()
	if holding.Shown == nil {
		return false, true
	}
	if r := holding.Get(row.Key); !r.IsZero() {
		return true, h.r.equal(r.Value(), row.Value)
	}
	if h.r.limited {
		return false, false
	}
	return false, h.v.Untouched(row.Key, &rowset.Fetched{Key: row.Key, Row: row.Value})
}

// Keys implements [audit.Binding].
func (h *heldBy) Keys(visit func(driver.Key) bool) {
	h.v.Holding().Each(func(r live.Row) bool { return visit(r.Key()) })
}
