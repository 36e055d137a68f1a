package concern

import (
	"fmt"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/live"
)

// Check is for tests. It returns an error if the pool's knowledge of held rows is wrong.
func (p *Pool) Check() error {
	if p.held == nil {
		return nil
	}
	if hashed, ranged, scanned := p.index.Stats(); hashed+ranged+scanned != len(p.InMemory) {
		return fmt.Errorf("the index has %d bindings, the pool %d", hashed+ranged+scanned, len(p.InMemory))
	}
	holders := make(map[*heldRow]int)
	var err error
	for v := range p.InMemory {
		v.Holding().All(func(r live.Row) {
			found := false
			p.Concerning(r.Key(), nil, func(o *rowset.Member) { found = found || o == v })
			h := p.held[r.Key()].find(r.Value())
			if !found || h == nil {
				err = fmt.Errorf("the pool does not know that %s holds %s", v.ID(), r.Key())
			}
			holders[h]++
		})
	}
	for key, newest := range p.held {
		for h := newest; h != nil; h = h.earlier {
			if err == nil && holders[h] != h.holders {
				err = fmt.Errorf("the pool takes row %s for held by %d bindings, and %d hold it", key, h.holders, holders[h])
			}
		}
	}
	return err
}

// CheckLinks is for tests. It compares the links that the pool knows with its rows, and
// returns their number.
func (p *Pool) CheckLinks() (links int, err error) {
	if p.links == nil {
		return 0, nil
	}
	want := newLinks(p.Loader)
	for _, views := range []map[*rowset.Member]struct{}{p.InMemory, p.Asked} {
		for v := range views {
			v.Holding().All(want.hold)
		}
	}
	for i := range want.showing {
		links += len(want.showing[i])
		if n, m := len(p.links.showing[i]), len(want.showing[i]); n != m {
			return links, fmt.Errorf("table %q: the pool knows %d rows that are shown, want %d", want.tables[i].Schema.Table, n, m)
		}
		for key, o := range want.showing[i] {
			if got := p.links.showing[i][key].counts(); fmt.Sprint(got) != fmt.Sprint(o.counts()) {
				return links, fmt.Errorf("table %q: %s is known to be shown by %v, want %v", want.tables[i].Schema.Table, key, got, o.counts())
			}
		}
	}
	return links, nil
}

func (o *rowsShowing) counts() map[driver.Key]int {
	all := make(map[driver.Key]int)
	if o == nil {
		return all
	}
	if o.n > 0 {
		all[o.one] = o.n
	}
	for k, n := range o.more {
		all[k] += n
	}
	return all
}
