package core_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

// sly is a table whose database compares some shelves otherwise than Go: an odd
// ware, by its note, stands on shelf 100 there, whatever Go reads. The column counts as
// exact until a read meets such a ware.
type sly struct {
	*store
	met      atomic.Bool // an odd ware
	learned  atomic.Bool // the column is not exact
	failures atomic.Int32
	prepared atomic.Int32
}

func (s *sly) Schema() (driver.Schema, error) {
	schema, err := s.store.Schema()
	schema.Columns = slices.Clone(schema.Columns)
	if c := schema.Column("shelf"); s.learned.Load() {
		schema.Columns[c].Exact = 0
	}
	return schema, err
}

func (s *sly) Prepare(context.Context, []driver.Table) ([]error, error) {
	s.prepared.Add(1)
	if s.met.Load() && s.failures.Add(-1) >= 0 {
		return nil, errors.New("no answer")
	}
	s.learned.Store(s.met.Load())
	return nil, nil
}

// look is what every read does with its rows.
func (s *sly) look(rows []*ware, err error) ([]*ware, error) {
	if err != nil || s.learned.Load() || !slices.ContainsFunc(rows, func(w *ware) bool { return w.Note == "odd" }) {
		return rows, err
	}
	s.met.Store(true)
	return nil, fmt.Errorf("reading: %w", driver.ErrSchemaChanged)
}

func (s *sly) Load(ctx context.Context, keys []driver.Key) ([]*ware, error) {
	return s.look(s.store.Load(ctx, keys))
}

func shelfInDatabase(w ware) int {
	if w.Note == "odd" {
		return 100
	}
	return w.Shelf
}

func (s *sly) Query(ctx context.Context, q driver.Query) ([]*ware, error) {
	schema, _ := s.Schema()
	rows, err := s.store.Load(ctx, q.Keys)
	if err != nil {
		return nil, err
	}
	if q.Filter != nil {
		p, err := filter.Compile(q.Filter, func(name string) (int, value.Kind, bool) {
			c := schema.Column(name)
			return c, schema.Columns[c].Kind, true
		})
		if err != nil {
			return nil, err
		}
		rows = slices.DeleteFunc(rows, func(w *ware) bool {
			return p.Eval(func(c int) value.Value {
				if c == schema.Column("shelf") {
					return value.Int(int64(shelfInDatabase(*w)))
				}
				return s.Value(w, c)
			}) != filter.True
		})
	}
	slices.SortFunc(rows, func(a, b *ware) int { return compareWares(q.Order, *a, *b) })
	if q.Limit > 0 && len(rows) > q.Limit {
		rows = rows[:q.Limit]
	}
	return s.look(rows, nil)
}

// TestExactnessIsWithdrawn: what a loader finds out while live decides from then on,
// and no version shows what the database would not.
func TestExactnessIsWithdrawn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, source := &sly{store: newStore()}, &coretest.Source{}
		failures := rapid.SampledFrom([]int32{0, 0, 0, 1}).Draw(t, "failures")
		s.failures.Store(failures)
		reg := core.Config{Logger: quiet()}.NewRegistry()
		type expectation struct {
			binding *core.Binding[ware]
			keep    func(ware) bool
			limit   int
		}
		var want []expectation
		shelves := rapid.SampledFrom([]int{2, 12}).Draw(t, "bindings") // with and without an index
		for i := range shelves {
			shelf := i
			if i == 1 {
				shelf = 100
			}
			b := core.Bind[ware](fmt.Sprint("shelf", shelf), s, core.Where(filter.Eq("shelf", shelf)))
			want = append(want, expectation{b, func(w ware) bool { return shelfInDatabase(w) == shelf }, 0})
		}
		few := core.Bind[ware]("few", s, core.Where(filter.Lt("shelf", 50)), core.OrderBy("price"), core.Limit(3))
		want = append(want, expectation{few, func(w ware) bool { return shelfInDatabase(w) < 50 }, 3})
		all := core.Bind[ware]("all", s)
		want = append(want, expectation{all, func(ware) bool { return true }, 0})
		for _, e := range want {
			_ = reg.Add(e.binding)
		}
		_ = reg.Watch(source)
		if err := reg.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = reg.Shutdown(context.Background()) }()
		for range rapid.IntRange(1, 12).Draw(t, "writes") {
			price := rapid.IntRange(0, 5).Draw(t, "price")
			w := ware{
				ID: rapid.IntRange(1, 8).Draw(t, "id"), Price: &price, Shelf: rapid.IntRange(0, 13).Draw(t, "shelf"),
				Note: rapid.SampledFrom([]string{"", "", "odd"}).Draw(t, "note"),
			}
			change := driver.Change{Table: driver.Table{Name: "wares"}, Keys: []driver.Key{driver.KeyOf(w.ID)}}
			if rapid.Bool().Draw(t, "delete") {
				s.Remove(driver.KeyOf(w.ID))
			} else {
				s.Put(w)
			}
			if rapid.Bool().Draw(t, "unknown keys") {
				change.Keys = nil
			}
			if err := source.Report(context.Background(), change); err != nil {
				t.Fatal(err)
			}
			for _, e := range want {
				var order []driver.Order
				limit := 100
				if e.limit > 0 {
					order, limit = []driver.Order{{Column: "price"}}, e.limit
				}
				expected := fmt.Sprint(notes(s.first(e.keep, order, limit)))
				// Nobody waits for bindings whose loader could not be prepared.
				for deadline := time.Now().Add(patience); ; runtime.Gosched() {
					got := fmt.Sprint(notes(slices.Collect(e.binding.All())))
					if got == expected {
						break
					}
					if failures == 0 || time.Now().After(deadline) {
						t.Fatalf("%s shows %v, the database %v", e.binding.Name(), got, expected)
					}
				}
			}
		}
		if n := s.prepared.Load(); n > 3 {
			t.Fatalf("the loader was prepared %d times", n)
		}
	})
}

func notes(rows []ware) (out []string) {
	for _, w := range rows {
		out = append(out, fmt.Sprint(w.ID, w.Shelf, *w.Price, w.Note))
	}
	return out
}
