package onerow

import (
	"context"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/rowset"
)

// NeedsResolve reports whether only the database can tell which row of the binding the key
// means: it may compare keys loosely, and the binding shows no row with exactly this key.
func NeedsResolve(v *rowset.Member, key driver.Key) bool {
	sh := v.Shape.Load()
	if sh == nil || v.Loader == nil || !v.Loader.CanQuery() || !comparesLoosely(&sh.Schema) {
		return false
	}
	if s := v.Snapshot(); s != nil {
		_, held := s.Get(key)
		return !held
	}
	return true
}

// Resolve returns the exact key of the binding's row that the database finds by the given
// key. It returns the given key if the database finds none or several, or fails.
func Resolve(ctx context.Context, v *rowset.Member, key driver.Key) driver.Key {
	sh := v.Shape.Load()
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

// comparesLoosely reports whether the database may find a row by a key that is spelled
// otherwise than the row's.
func comparesLoosely(s *driver.Schema) bool {
	for _, name := range s.Key {
		if s.Columns[s.Column(name)].Exact&filter.ExactEqual == 0 {
			return true
		}
	}
	return false
}
