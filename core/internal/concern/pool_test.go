package concern_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/concern"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/untyped"
)

type parcel struct {
	ID   int `json:"id"`
	Area int `json:"area"`
}

type depot struct{ *driver.Description[parcel] }

func (depot) Load(context.Context, []driver.Key) ([]*parcel, error) { return nil, nil }

// TestPoolAgainstModel lets bindings come and go, and rows move between them. A
// row must be shown to every binding whose filter it meets, and to every one
// that holds the row of its key; below and above the number up to which a pool
// looks at all of them.
func TestPoolAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		loader := untyped.New[parcel](&depot{driver.Describe[parcel](driver.Table{Name: "parcels"}, "id")})
		p := concern.NewPool(loader)
		areas := make(map[*rowset.Member]int) // what each holds: the parcels of its area; -1: all
		var members []*rowset.Member
		rows := make(map[int]parcel)
		step := func(m *rowset.Member, change func(*rowset.Step)) {
			before := m.Holding()
			s := m.Begin(m.Shape.Load(), before.Shown == nil, time.Unix(0, 0))
			change(s)
			if _, ok := s.Publish(); !ok {
				t.Fatalf("it has ended")
			}
			if before.Shown == nil {
				p.Enter(m)
			} else {
				p.Moved(before, s)
			}
		}
		holds := func(m *rowset.Member, r parcel) bool { return areas[m] < 0 || areas[m] == r.Area }
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch what := rapid.IntRange(0, 9).Draw(t, "what"); {
			case what < 3 && len(members) < 4*concern.Few:
				area := rapid.IntRange(-1, 5).Draw(t, "area")
				spec := &rowset.Spec{LogEvents: 1}
				if area >= 0 {
					spec.Filter = filter.Eq("area", area)
				}
				m := rowset.NewMember("parcels", nil, loader, spec, nil)
				sh, problems := m.Check()
				if len(problems) > 0 {
					t.Fatalf("%v", errors.Join(problems...))
				}
				m.Become(sh)
				areas[m] = area
				step(m, func(s *rowset.Step) {
					for id, r := range rows {
						if holds(m, r) {
							if err := s.Put(&rowset.Fetched{Key: driver.KeyOf(id), Row: &r}); err != nil {
								t.Fatalf("%v", err)
							}
						}
					}
				})
				members = append(members, m)
			case what == 3 && len(members) > 0:
				i := rapid.IntRange(0, len(members)-1).Draw(t, "member")
				p.Leave(members[i])
				members = append(members[:i:i], members[i+1:]...)
			default:
				r := parcel{ID: rapid.IntRange(1, 6).Draw(t, "id"), Area: rapid.IntRange(0, 5).Draw(t, "to")}
				key, gone := driver.KeyOf(r.ID), what == 4
				var row any
				if !gone {
					row = &r
				}
				told := make(map[*rowset.Member]bool)
				p.Concerning(key, row, func(m *rowset.Member) { told[m] = true })
				for _, m := range members {
					_, held := m.Snapshot().Get(key)
					if (held || !gone && holds(m, r)) && !told[m] {
						t.Fatalf("a binding of area %d is not told of %+v (gone: %v)", areas[m], r, gone)
					}
				}
				late := rapid.IntRange(0, 3).Draw(t, "late") == 0 // some are in trouble, and keep what they hold
				for i, m := range members {
					if !told[m] || late && i%2 == 0 {
						continue
					}
					step(m, func(s *rowset.Step) {
						if gone || !holds(m, r) {
							s.Remove(key)
						} else if err := s.Put(&rowset.Fetched{Key: key, Row: &r}); err != nil {
							t.Fatalf("%v", err)
						}
					})
				}
				rows[r.ID] = r
				if gone {
					delete(rows, r.ID)
				}
			}
			if err := p.Check(); err != nil {
				t.Fatalf("%v", err)
			}
			if len(p.InMemory) != len(members) || len(p.Asked) != 0 {
				t.Fatalf("%d bindings, want %d", len(p.InMemory), len(members))
			}
		}
	})
}
