package core

import (
	"context"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

// maxResolves bounds the questions that [Grant.Resolve] asks databases at a time.
// Others wait for askTimeout, as for an answer.
const maxResolves = 4

// Resolve returns the key of the row that the database finds by the given key, which
// need not be spelled alike: a citext key in another case, for one. It is the given
// key where no key column compares so, where the binding has no such row, and where
// the database does not answer within a second. Transports call it with keys from
// clients. Of rows outside of the grant it tells nothing.
func (g *Grant) Resolve(ctx context.Context, key driver.Key) driver.Key {
	v, sh := g.view, g.view.Shape.Load()
	if sh == nil || v.Loader == nil || !v.Loader.CanQuery() || !comparesLoosely(&sh.Schema) {
		return key
	}
	if s := v.Snapshot(); s != nil {
		if _, ok := s.Get(key); ok {
			return key
		}
	}
	parts, err := key.Values()
	if err != nil || len(parts) != len(sh.Schema.Key) {
		return key
	}
	meant := make([]filter.Expr, 0, len(parts)+1)
	for i, part := range parts {
		meant = append(meant, filter.Eq(sh.Schema.Key[i], part))
	}
	if v.Filter != nil {
		meant = append(meant, v.Filter)
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	select {
	case g.reg.resolves <- struct{}{}:
		defer func() { <-g.reg.resolves }()
	case <-ctx.Done():
		return key
	}
	rows, err := v.Loader.Query(ctx, driver.Query{Filter: filter.And(meant...), Where: v.Spec.Where})
	if err != nil || len(rows) != 1 {
		return key
	}
	found, _ := sh.TakeUp(v.Loader, rows)
	if len(found) != 1 {
		return key
	}
	return found[0].Key
}

// comparesLoosely reports whether the database may find a row by a key that is not
// the row's to the byte.
func comparesLoosely(s *driver.Schema) bool {
	for _, name := range s.Key {
		c := &s.Columns[s.Column(name)]
		if c.Kind == value.KindText && c.Canonical == nil && c.Exact&filter.ExactEqual == 0 {
			return true
		}
	}
	return false
}
