package rowset_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/untyped"
)

type thing struct {
	ID    int  `json:"id"`
	Price int  `json:"price"`
	Live  bool `json:"live"`
}

// shelf is a table without a database: whoever reads it gets everything.
type shelf struct {
	*driver.Description[thing]
	rows map[int]thing
}

func newShelf() *shelf {
	return &shelf{driver.Describe[thing](driver.Table{Name: "things"}, "id"), make(map[int]thing)}
}

func (s *shelf) Load(context.Context, []driver.Key) (out []*thing, err error) {
	for _, r := range s.rows {
		out = append(out, &r)
	}
	return out, nil
}

// newMember declares and checks live things, by price.
func newMember(t interface{ Fatalf(string, ...any) }, s *shelf, limit, margin int) *rowset.Member {
	spec := &rowset.Spec{Filter: filter.Eq("live", true), Order: []driver.Order{{Column: "price"}}, Limit: limit, Margin: margin, LogEvents: 8, LogBytes: 1 << 20}
	m := rowset.NewMember("things", nil, untyped.New[thing](s), spec, nil)
	shape, problems := m.Check()
	if len(problems) > 0 {
		t.Fatalf("%v", errors.Join(problems...))
	}
	m.Become(shape)
	return m
}

// load makes all rows of the shelf the member's.
func load(t interface{ Fatalf(string, ...any) }, m *rowset.Member, anew bool) *rowset.Step {
	sh := m.Shape.Load()
	rows, err := m.Loader.Load(context.Background(), nil)
	if err != nil {
		t.Fatalf("%v", err)
	}
	fetched, _ := sh.TakeUp(m.Loader, rows)
	var mine []*rowset.Fetched
	for i := range fetched {
		if sh.Holds(m.Loader, fetched[i].Row) {
			mine = append(mine, &fetched[i])
		}
	}
	fail := func(key driver.Key, err error) { t.Fatalf("row %s: %v", key, err) }
	step, reach := m.Begin(sh, anew, time.Unix(0, 0)), m.Reach()
	switch {
	case reach == 0:
		step.Replace(mine, fail)
	default:
		complete := len(mine) <= reach
		if !complete {
			mine = sh.FirstRows(m.Loader, mine, reach)
		}
		step.Refill(mine, complete, fail)
	}
	return step
}

// TestStepsAgainstModel puts and removes rows at random and compares what a
// member shows with a sort of all rows. Steps that cannot tell are told
// everything.
func TestStepsAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newShelf()
		limit := rapid.IntRange(0, 4).Draw(t, "limit")
		m := newMember(t, s, limit, rapid.IntRange(0, 2).Draw(t, "margin"))
		if _, ok := load(t, m, true).Publish(); !ok {
			t.Fatalf("it has ended")
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			sh := m.Shape.Load()
			step := m.Begin(sh, false, time.Unix(1, 0))
			for range rapid.IntRange(1, 3).Draw(t, "rows") {
				id := rapid.IntRange(1, 9).Draw(t, "id")
				key := driver.KeyOf(id)
				if rapid.IntRange(0, 3).Draw(t, "what") == 0 {
					delete(s.rows, id)
					step.Remove(key)
					continue
				}
				row := thing{ID: id, Price: rapid.IntRange(0, 4).Draw(t, "price"), Live: rapid.Bool().Draw(t, "live")}
				s.rows[id] = row
				if !row.Live {
					step.Remove(key)
				} else if err := step.Put(&rowset.Fetched{Key: key, Row: &row}); err != nil {
					t.Fatalf("%v", err)
				}
			}
			if !step.Settle() {
				if step = load(t, m, false); !step.Settle() {
					t.Fatalf("it is not settled by all rows")
				}
			}
			before := m.Version()
			event, ok := step.Publish()
			if !ok || event == nil && m.Version() != before {
				t.Fatalf("published %v, %v", event, ok)
			}
			var want []thing
			for _, r := range s.rows {
				if r.Live {
					want = append(want, r)
				}
			}
			slices.SortFunc(want, func(a, b thing) int { return cmp.Or(cmp.Compare(a.Price, b.Price), cmp.Compare(a.ID, b.ID)) })
			if limit > 0 && len(want) > limit {
				want = want[:limit]
			}
			var got []thing
			for r := range m.Snapshot().Rows() {
				got = append(got, *r.Value().(*thing))
			}
			if !slices.Equal(got, want) {
				t.Fatalf("it shows %v, want %v", got, want)
			}
			if err := m.CheckHeld(context.Background()); err != nil {
				t.Fatalf("%v", err)
			}
		}
	})
}

// TestRowsThatCannotBeTold: two rows of one key are told to the caller, who decides.
func TestRowsThatCannotBeTold(t *testing.T) {
	m := newMember(t, newShelf(), 0, 0)
	a, b := thing{ID: 1, Live: true}, thing{ID: 1, Price: 2, Live: true}
	var failed []error
	m.Begin(m.Shape.Load(), true, time.Unix(0, 0)).Replace([]*rowset.Fetched{
		{Key: driver.KeyOf(1), Row: &a}, {Key: driver.KeyOf(1), Row: &b},
	}, func(_ driver.Key, err error) { failed = append(failed, err) })
	if len(failed) != 1 {
		t.Errorf("failures: %v", failed)
	}
}

// TestChecksFindEverything: a declaration's problems are returned all at once.
func TestChecksFindEverything(t *testing.T) {
	m := rowset.NewMember("9 lives", nil, untyped.New[thing](newShelf()), &rowset.Spec{
		Filter: filter.Eq("nothing", 1), Order: []driver.Order{{Column: "none"}}, Columns: []string{"absent"},
	}, nil)
	if _, problems := m.Check(); len(problems) != 5 {
		t.Errorf("%d problems: %v", len(problems), errors.Join(problems...))
	}
}
