package compare_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/audit"
	"github.com/binderyhq/bindery/core/internal/compare"
	"github.com/binderyhq/bindery/core/internal/concern"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/untyped"
)

type parcel struct {
	ID   int `json:"id"`
	Area int `json:"area"`
}

// depot is a table in memory, one row of which may be unreadable.
type depot struct {
	*driver.Description[parcel]
	rows map[driver.Key]*parcel
	bad  driver.Key
}

func (d *depot) Load(_ context.Context, keys []driver.Key) (found []*parcel, err error) {
	for k, p := range d.rows {
		if k == d.bad && (keys == nil || slices.Contains(keys, k)) {
			err = &driver.RowError{Key: k, Err: fmt.Errorf("bad")}
			continue
		}
		if keys == nil || slices.Contains(keys, k) {
			found = append(found, p)
		}
	}
	return found, err
}

// TestSets: every binding is compared with the rows that meet its condition, whether there
// are few or many, and with what it holds of them.
func TestSets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &depot{Description: driver.Describe[parcel](driver.Table{Name: "parcels"}, "id"), rows: make(map[driver.Key]*parcel)}
		loader := untyped.New[parcel](d)
		for id := range rapid.IntRange(0, 30).Draw(t, "rows") {
			d.rows[driver.KeyOf(id)] = &parcel{ID: id, Area: rapid.IntRange(0, 5).Draw(t, "area")}
		}
		areas := make(map[*rowset.Member]int)
		members := make(map[*rowset.Member]struct{})
		for range rapid.IntRange(1, 3*concern.Few).Draw(t, "bindings") {
			area := rapid.IntRange(-1, 5).Draw(t, "of area")
			spec := &rowset.Spec{LogEvents: 1}
			if area >= 0 {
				spec.Filter = filter.Eq("area", area)
			}
			m := rowset.NewMember("parcels", nil, loader, spec, nil)
			sh, problems := m.Check()
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			m.Become(sh)
			s := m.Begin(sh, true, time.Unix(0, 0))
			for k, p := range d.rows { // it holds half of what it should
				if p.ID%2 == 0 && (area < 0 || p.Area == area) {
					if err := s.Put(&rowset.Fetched{Key: k, Row: p}); err != nil {
						t.Fatal(err)
					}
				}
			}
			if _, ok := s.Publish(); !ok {
				t.Fatal("it has ended")
			}
			areas[m], members[m] = area, struct{}{}
		}
		sets := compare.Sets(t.Context(), members)
		if len(sets) != 1 {
			t.Fatalf("%d sets for one loader", len(sets))
		}
		order := rowset.InOrder(members)
		held := sets[0].Bindings()
		if len(held) != len(order) {
			t.Fatalf("%d bindings of %d", len(held), len(order))
		}
		seen := 0
		unread, err := sets[0].Scan(t.Context(), func(rows []audit.Row) error {
			for _, r := range rows {
				seen++
				p := r.Value.(*parcel)
				matched := make(map[int]bool)
				sets[0].Match(r.Value, func(i int) { matched[i] = true })
				for i, m := range order {
					want := areas[m] < 0 || areas[m] == p.Area
					if matched[i] != want {
						t.Fatalf("row %+v of area %d: %v", p, areas[m], matched[i])
					}
					if has, same := held[i].Holds(r); want && (has != (p.ID%2 == 0) || same != has) {
						t.Fatalf("row %+v: held %v, the same %v", p, has, same)
					}
				}
			}
			return nil
		})
		if err != nil || len(unread) != 0 {
			t.Fatalf("%v, %v", unread, err)
		}
		only := len(order) == 1 // its filter is sent to the database, where the loader can do so
		if seen != len(d.rows) && !only {
			t.Fatalf("%d rows of %d", seen, len(d.rows))
		}
		for i, m := range order {
			n := 0
			held[i].Keys(func(driver.Key) bool { n++; return true })
			if n != m.Len() {
				t.Fatalf("%d keys of %d", n, m.Len())
			}
		}
	})
}

// TestUnreadableRows: a row that cannot be read is named, and the others are compared.
func TestUnreadableRows(t *testing.T) {
	d := &depot{Description: driver.Describe[parcel](driver.Table{Name: "parcels"}, "id"), rows: make(map[driver.Key]*parcel), bad: driver.KeyOf(1)}
	for id := range 3 {
		d.rows[driver.KeyOf(id)] = &parcel{ID: id}
	}
	m := rowset.NewMember("parcels", nil, untyped.New[parcel](d), &rowset.Spec{LogEvents: 1}, nil)
	sh, _ := m.Check()
	m.Become(sh)
	set := compare.Sets(t.Context(), map[*rowset.Member]struct{}{m: {}})[0]
	rows, unread, err := set.Find(t.Context(), []driver.Key{driver.KeyOf(0), driver.KeyOf(1), driver.KeyOf(7)})
	if err != nil || len(rows) != 1 || !slices.Equal(unread, []driver.Key{d.bad}) {
		t.Errorf("%v, %v, %v", rows, unread, err)
	}
}
