package compare

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

// pieceRows is the number of rows that a scan reads at a time.
const pieceRows = 500

// Set is a set of rows with which bindings of one loader are compared. One goroutine uses
// it.
type Set struct {
	Loader untyped.Loader
	// Asked is the set's only binding, if the database decides which rows it holds;
	// otherwise nil.
	Asked *rowset.Member

	ctx      context.Context // carries the snapshot
	bindings []*rowset.Member
	held     []audit.Binding
	number   map[*rowset.Member]int
	index    *index.Index[*rowset.Member] // nil for few bindings

	// The last two rows compared, for other bindings that share a row.
	was, is any
	same    bool
}

var _ audit.Reading = (*Set)(nil)

// Requeried reports whether a binding has to run its query again instead of being compared:
// it has a limit, and only the database can say which rows are within it.
func Requeried(v *rowset.Member) bool {
	return v.Spec.Limit > 0 && (!v.ByRow() || v.Shape.Load().Collated)
}

// Sets groups bindings, of which none is [Requeried], by how their rows are read: one set for all
// bindings of a loader whose membership is decided in memory, and after these one for each
// other binding. All reads use ctx, which carries the snapshot.
func Sets(ctx context.Context, bindings map[*rowset.Member]struct{}) (sets []*Set) {
	byLoader := make(map[any]*Set)
	var asked []*Set
	for _, v := range rowset.InOrder(bindings) {
		if !v.ByRow() {
			s := &Set{ctx: ctx, Loader: v.Loader, Asked: v}
			s.enter(v)
			asked = append(asked, s)
			continue
		}
		id := v.Loader.Identity()
		s := byLoader[id]
		if s == nil {
			s = &Set{ctx: ctx, Loader: v.Loader}
			byLoader[id] = s
			sets = append(sets, s)
		}
		s.enter(v)
	}
	return append(sets, asked...)
}

// Members returns the bindings that are compared with the set.
func (s *Set) Members() []*rowset.Member { return s.bindings }

func (s *Set) enter(v *rowset.Member) {
	s.bindings = append(s.bindings, v)
	s.held = append(s.held, &heldBy{s, v})
}

// Bindings implements [audit.Reading].
func (s *Set) Bindings() []audit.Binding {
	if s.Asked == nil && len(s.bindings) > concern.Few && s.index == nil {
		s.index, s.number = index.New[*rowset.Member](), make(map[*rowset.Member]int, len(s.bindings))
		for i, v := range s.bindings {
			s.index.Add(v, v.Shape.Load().Spelled(v.Filter), v.Shape.Load().ColumnOf)
			s.number[v] = i
		}
	}
	return s.held
}

// Scan implements [audit.Reading].
func (s *Set) Scan(_ context.Context, visit func([]audit.Row) error) ([]driver.Key, error) {
	var q driver.Query
	switch {
	case s.Asked != nil:
		q.Filter, q.Where = s.Asked.Filter, s.Asked.Spec.Where
	case len(s.bindings) == 1 && s.Loader.CanQuery():
		q.Filter = s.bindings[0].Filter
	}
	return unreadRows(s.Loader.Scan(s.ctx, q, pieceRows, func(rows []any) error { return visit(s.rowsOf(rows)) }))
}

// unreadRows returns the keys of the unreadable rows if the error is only about such rows,
// and the error otherwise.
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

// rowsOf finds the keys of rows that a loader returned. It leaves out rows without a key.
func (s *Set) rowsOf(rows []any) []audit.Row {
	sh := s.bindings[0].Shape.Load()
	found := make([]audit.Row, 0, len(rows))
	for _, row := range rows {
		if key, err := sh.KeyOf(s.Loader, row); err == nil {
			found = append(found, audit.Row{Key: key, Value: row})
		}
	}
	return found
}

// Find implements [audit.Reading].
func (s *Set) Find(_ context.Context, keys []driver.Key) ([]audit.Row, []driver.Key, error) {
	var rows []any
	var err error
	if v := s.Asked; v != nil {
		rows, err = s.Loader.Query(s.ctx, driver.Query{Filter: v.Filter, Where: v.Spec.Where, Keys: keys})
	} else {
		rows, err = s.Loader.Load(s.ctx, keys)
	}
	unread, err := unreadRows(err)
	if err != nil {
		return nil, nil, err
	}
	return s.rowsOf(rows), unread, nil
}

// Match implements [audit.Reading].
func (s *Set) Match(row any, visit func(int)) {
	if s.Asked != nil {
		visit(0)
		return
	}
	get := func(column int) value.Value { return s.Loader.Value(row, column) }
	if s.index == nil {
		for i, v := range s.bindings {
			if v.Shape.Load().Meets(get) {
				visit(i)
			}
		}
		return
	}
	s.index.Match(get, func(v *rowset.Member) {
		if v.Shape.Load().Meets(get) {
			visit(s.number[v])
		}
	})
}

// equal reports whether two rows are deeply equal.
func (s *Set) equal(was, is any) bool {
	if was != s.was || is != s.is {
		s.was, s.is, s.same = was, is, reflect.DeepEqual(was, is)
	}
	return s.same
}

// heldBy is a binding as a comparison sees it.
type heldBy struct {
	set *Set
	v   *rowset.Member
}

// Holds implements [audit.Binding].
func (h *heldBy) Holds(row audit.Row) (held, same bool) {
	holding := h.v.Holding()
	if holding.Shown == nil {
		return false, true
	}
	if r := holding.Get(row.Key); !r.IsZero() {
		return true, h.set.equal(r.Value(), row.Value)
	}
	return false, h.v.Untouched(row.Key, &rowset.Fetched{Key: row.Key, Row: row.Value})
}

// Keys implements [audit.Binding].
func (h *heldBy) Keys(visit func(driver.Key) bool) {
	h.v.Holding().Each(func(r live.Row) bool { return visit(r.Key()) })
}
