package onerow

import (
	"context"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/status"
)

// coin is a row of a purse, a table in memory whose loader evaluates nothing.
type coin struct {
	ID    int  `json:"id"`
	Value int  `json:"value"`
	Mint  *int `json:"mint"`
}

type purse struct {
	*driver.Description[coin]
	coins map[driver.Key]coin
	err   error
}

func (p *purse) Load(_ context.Context, keys []driver.Key) (rows []*coin, err error) {
	for k, c := range p.coins {
		if keys == nil || len(keys) == 1 && keys[0] == k {
			rows = append(rows, &c)
		}
	}
	return rows, p.err
}

func newRow(t interface{ Fatalf(string, ...any) }, p *purse, spec rowset.Spec, id int) *Row {
	m := rowset.NewMember("coins", nil, untyped.New[coin](p), &spec, nil)
	sh, problems := m.Check()
	if len(problems) > 0 {
		t.Fatalf("%v", errors.Join(problems...))
	}
	m.Become(sh)
	return &Row{Member: m, Shape: sh, Key: driver.KeyOf(id)}
}

func newPurse() *purse {
	return &purse{Description: driver.Describe[coin](driver.Table{Name: "coins"}, "id"), coins: make(map[driver.Key]coin)}
}

// TestMembershipAgainstModel: a row is a member when it meets the filter and stands among
// the first; and whatever is a member may meet the filter, by any of its values.
func TestMembershipAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPurse()
		for id := range rapid.IntRange(0, 8).Draw(t, "rows") {
			p.coins[driver.KeyOf(id)] = coin{ID: id, Value: rapid.IntRange(0, 4).Draw(t, "value")}
		}
		least, limit := rapid.IntRange(0, 5).Draw(t, "least"), rapid.IntRange(0, 4).Draw(t, "limit")
		id := rapid.IntRange(0, 9).Draw(t, "id")
		r := newRow(t, p, rowset.Spec{Filter: filter.Ge("value", least), Limit: limit, Order: []driver.Order{{Column: "value"}}}, id)

		mine, there := p.coins[driver.KeyOf(id)]
		want, before := there && mine.Value >= least, 0
		for _, c := range p.coins {
			if c.Value >= least && (c.Value < mine.Value || c.Value == mine.Value && c.ID < id) {
				before++
			}
		}
		want = want && (limit == 0 || before < limit)
		got, err := r.IsMember(context.Background())
		if err != nil || got != want {
			t.Fatalf("row %d: %v, %v; want %v", id, got, err, want)
		}
		known := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"id", "value", "mint"}), rapid.ID).Draw(t, "known")
		if got && !r.MayMeet(r.Member.Filter, &mine, known) {
			t.Fatalf("a member cannot meet the filter, by %v", known)
		}
	})
}

// TestExplain: each part of a declaration is answered by itself.
func TestExplain(t *testing.T) {
	p := newPurse()
	p.coins[driver.KeyOf(1)] = coin{ID: 1, Value: 5}
	p.coins[driver.KeyOf(2)] = coin{ID: 2, Value: 1}
	spec := rowset.Spec{Filter: filter.And(filter.Ge("value", 3), filter.IsNull("mint")), Limit: 1}
	explain := func(id int) []status.Reason {
		t.Helper()
		why, err := Explain(context.Background(), newRow(t, p, spec, id).Member, driver.KeyOf(id))
		if err != nil {
			t.Fatal(err)
		}
		return why
	}
	if why := explain(1); len(why) != 3 || !why[0].Holds || !why[1].Holds || why[2].Limit != 1 || !why[2].Holds {
		t.Errorf("a member: %+v", why)
	}
	if why := explain(2); len(why) != 2 || why[0].Holds || string(why[0].Value) != "1" || !why[1].Holds {
		t.Errorf("a row that does not meet the filter: %+v", why)
	}
	if why := explain(3); len(why) != 1 || why[0].Row != status.Absent {
		t.Errorf("a row that is not there: %+v", why)
	}
	p.err = errors.New("the database is away")
	if _, err := Explain(context.Background(), newRow(t, p, spec, 1).Member, driver.KeyOf(1)); !errors.Is(err, p.err) {
		t.Errorf("reading fails: %v", err)
	}
}
