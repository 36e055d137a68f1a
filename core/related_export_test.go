package core

import (
	"errors"
	"fmt"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/rowset"
)

// CheckShown compares what the registry's pools know about the rows that their
// rows show with what the rows say. It is called while nothing is reported, and
// after a Flush. It returns how many links there are.
func CheckShown(r *Registry) (links int, err error) {
	var errs []error
	for _, f := range r.eng.running() {
		for _, p := range f.pools {
			n, err := p.checkShown()
			links += n
			errs = append(errs, err)
		}
	}
	return links, errors.Join(errs...)
}

func (p *pool) checkShown() (links int, err error) {
	if p.shown == nil {
		return 0, nil
	}
	want := newShown(p.read)
	for _, views := range []map[*rowset.Member]struct{}{p.known, p.others} {
		for v := range views {
			v.Holding().All(want.hold)
		}
	}
	for i := range want.owners {
		links += len(want.owners[i])
		if n, m := len(p.shown.owners[i]), len(want.owners[i]); n != m {
			return links, fmt.Errorf("table %q: the pool knows %d rows that are shown, want %d", want.tables[i].Schema.Table, n, m)
		}
		for key, o := range want.owners[i] {
			if got := p.shown.owners[i][key].counts(); fmt.Sprint(got) != fmt.Sprint(o.counts()) {
				return links, fmt.Errorf("table %q: %s is known to be shown by %v, want %v", want.tables[i].Schema.Table, key, got, o.counts())
			}
		}
	}
	return links, nil
}

func (o *owners) counts() map[driver.Key]int {
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
