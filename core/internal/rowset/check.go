package rowset

import (
	"context"
	"fmt"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// CheckHeld is for tests. It returns an error unless a binding with a window holds exactly
// its first rows, up to its boundary, shows as many of them as its limit allows, and keeps
// no more beyond them than its margin.
func (v *Member) CheckHeld(ctx context.Context) error {
	s, sh, w := v.Snapshot(), v.Shape.Load(), v.Holding().Window
	if w == nil {
		return nil
	}
	held := slices.Collect(s.Rows())
	if len(held) != s.Len() {
		return fmt.Errorf("%s: its trees differ", v.ID())
	}
	w.ordered.Scan(func(_ string, r live.Row) bool { held = append(held, r); return true })
	if w.rows.Len() != w.ordered.Len() {
		return fmt.Errorf("%s: its margin's trees differ", v.ID())
	}
	for i := 1; i < len(held); i++ {
		if held[i-1].OrderKey() >= held[i].OrderKey() {
			return fmt.Errorf("%s: %s is held after %s", v.ID(), held[i].Key(), held[i-1].Key())
		}
	}
	if n := len(held); s.Len() != min(n, v.limit()) || v.Reach() > 0 && n > v.Reach() {
		return fmt.Errorf("%s: shows %d rows and holds %d", v.ID(), s.Len(), n)
	}
	if sh.Collated {
		want, err := v.Loader.Query(ctx, driver.Query{Filter: v.Filter, Order: sh.OrderBy})
		if err != nil {
			return err
		}
		if w.complete && len(want) != len(held) || len(want) < len(held) {
			return fmt.Errorf("%s: holds %d rows of %d (complete: %v)", v.ID(), len(held), len(want), w.complete)
		}
		for i, e := range held {
			if k, _ := sh.KeyOf(v.Loader, want[i]); k != e.Key() {
				return fmt.Errorf("%s: holds %s where %s belongs", v.ID(), e.Key(), k)
			}
		}
		return nil
	}
	all, err := v.Loader.Load(ctx, nil)
	if err != nil {
		return err
	}
	want := 0
	for _, row := range all {
		k, _ := sh.KeyOf(v.Loader, row)
		if !sh.Holds(v.Loader, row) || !w.complete && sh.OrderOf(v.Loader, row, k) > w.bound {
			continue
		}
		want++
		if v.Holding().Get(k).IsZero() {
			return fmt.Errorf("%s: does not hold %s, which stands before its boundary", v.ID(), k)
		}
	}
	if want != len(held) {
		return fmt.Errorf("%s: holds %d rows, of which %d should be held", v.ID(), len(held), want)
	}
	return nil
}
