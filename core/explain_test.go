package core_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/status"
)

// TestExplain says for rows of all sorts why they are in a binding or not, in
// the form that docs/protocol.md has for it.
func TestExplain(t *testing.T) {
	r := newItems(t, core.Config{})
	r.table.Put(
		item{ID: 1, Name: "a", Price: 1, Live: true}, item{ID: 2, Name: "b", Price: 2, Live: true},
		item{ID: 3, Name: "c", Price: 3, Live: true}, item{ID: 4, Name: "d", Price: 4},
		item{ID: 5, Name: "poison", Price: 0, Live: true},
	)
	all := core.Bind("all", r.table)
	first := core.Bind("first", r.table, core.Where(filter.Eq("live", true), filter.Or(filter.Ge("price", 1), filter.IsNull("name"))), core.OrderBy("price"), core.Limit(2))
	shown := core.Bind("shown", r.table, fragile())
	if _, err := all.Explain(r.ctx, key(1)); !errors.Is(err, core.ErrNotStarted) {
		t.Errorf("before Start: %v", err)
	}
	r.start(t, all, first, shown)
	defer r.stop(t)
	explain := func(b *core.Binding[item], k driver.Key) string {
		t.Helper()
		ex, err := b.Explain(r.ctx, k)
		if err != nil {
			t.Fatal(err)
		}
		if len(ex.Sources) != 1 || ex.Sources[0].Name != "coretest" {
			t.Errorf("sources: %+v", ex.Sources)
		}
		ex.Sources = nil
		for i := range ex.Why {
			if ex.Why[i].Row == status.Unreadable || ex.Why[i].Binding != "" {
				ex.Why[i].Detail = ""
			}
		}
		out, err := json.Marshal(ex)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	const either = `{"filter":"(price \u003e= 1 or name is null)","holds":true}`
	for _, c := range []struct {
		b    *core.Binding[item]
		key  int
		want string
	}{
		{all, 1, `{"in":true,"why":[{"row":"present","holds":true}],"sources":[]}`},
		{all, 9, `{"in":false,"why":[{"row":"absent","holds":false}],"sources":[]}`},
		{first, 1, `{"in":true,"why":[{"filter":"live = true","value":true,"holds":true},` + either + `,{"limit":2,"holds":true}],"sources":[]}`},
		{first, 3, `{"in":false,"why":[{"filter":"live = true","value":true,"holds":true},` + either + `,{"limit":2,"holds":false}],"sources":[]}`},
		{first, 4, `{"in":false,"why":[{"filter":"live = true","value":false,"holds":false},` + either + `],"sources":[]}`},
		{shown, 5, `{"in":false,"why":[{"row":"unreadable","holds":false}],"sources":[]}`},
		{shown, 1, `{"in":false,"why":[{"row":"present","holds":true},{"binding":"loading","holds":false}],"sources":[]}`},
	} {
		if got := explain(c.b, key(c.key)); got != c.want {
			t.Errorf("%s, row %d:\n got %s\nwant %s", c.b.Name(), c.key, got, c.want)
		}
	}
	ex, err := r.reg.Explain(r.ctx, all.View, key(1))
	if err != nil || !ex.In {
		t.Errorf("by its view: %+v, %v", ex, err)
	}
	// What only the database can tell is asked of it.
	s := &damaged{store: newStore(), tells: true}
	s.Put(ware{ID: 1, Shelf: 1})
	asked := core.Bind("asked", s, core.Where(filter.Eq("shelf", 2)), core.ForLoader(driver.Terms{Where: condition("true")}))
	if err := r.reg.Add(asked); err != nil {
		t.Fatal(err)
	}
	<-asked.Loaded()
	ask := func() status.Explain {
		ex, err := asked.Explain(r.ctx, key(1))
		if err != nil {
			t.Fatal(err)
		}
		return ex
	}
	if ex := ask(); ex.In || len(ex.Why) != 2 || ex.Why[0].Holds || string(ex.Why[0].Value) != "1" || ex.Why[1].Filter != "true" || !ex.Why[1].Holds {
		t.Errorf("asked: %+v", ex)
	}
	s.set(1)
	if ex := ask(); len(ex.Why) != 1 || ex.Why[0].Row != status.Unreadable || ex.Why[0].Detail != errDamaged.Error() {
		t.Errorf("a damaged row: %+v", ex)
	}
}
