package core

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// CheckHeld compares what the registry's bindings hold, margins included,
// with what their windows and pools say, and with all rows of their tables. It
// is called while nothing is reported, and after a Flush.
func CheckHeld(ctx context.Context, r *Registry) error {
	var errs []error
	for _, f := range r.eng.running() {
		for _, p := range f.pools {
			errs = append(errs, p.check())
			for v := range p.known {
				errs = append(errs, v.checkWindow(ctx))
			}
			for v := range p.others {
				errs = append(errs, v.checkWindow(ctx))
			}
		}
	}
	return errors.Join(errs...)
}

// check demands that the pool knows who holds what.
func (p *pool) check() error {
	if p.held == nil {
		return nil
	}
	if hashed, ranged, scanned := p.index.Stats(); hashed+ranged+scanned != len(p.known) {
		return fmt.Errorf("the index has %d bindings, the pool %d", hashed+ranged+scanned, len(p.known))
	}
	n := 0
	var err error
	for v := range p.known {
		v.holding().all(func(r live.Row) {
			n++
			found := false
			if h := p.held[r.Key()]; h != nil {
				h.holders.each(func(o *publisher) { found = found || o == v })
			}
			if !found {
				err = fmt.Errorf("the pool does not know that %s holds %s", v.ID(), r.Key())
			}
		})
	}
	for _, h := range p.held {
		h.holders.each(func(*publisher) { n-- })
	}
	if err == nil && n != 0 {
		err = fmt.Errorf("the pool takes %d rows for held that are not", -n)
	}
	return err
}

// checkWindow demands that the binding holds the first rows of its order, down
// to a boundary or all of them, shows as many as its limit says, and no more
// beyond them than its margin.
func (v *publisher) checkWindow(ctx context.Context) error {
	s, sh, w := v.Snapshot(), v.shape.Load(), v.holding().window
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
		if held[i-1].Place() >= held[i].Place() {
			return fmt.Errorf("%s: %s is held after %s", v.ID(), held[i].Key(), held[i-1].Key())
		}
	}
	if n := len(held); s.Len() != min(n, v.limit()) || v.reach() > 0 && n > v.reach() {
		return fmt.Errorf("%s: shows %d rows and holds %d", v.ID(), s.Len(), n)
	}
	if sh.collated {
		want, err := v.read.query(ctx, driver.Query{Filter: v.filter, Order: sh.orderBy})
		if err != nil {
			return err
		}
		if w.complete && len(want) != len(held) || len(want) < len(held) {
			return fmt.Errorf("%s: holds %d rows of %d (complete: %v)", v.ID(), len(held), len(want), w.complete)
		}
		for i, e := range held {
			if k, _ := sh.keyOf(v.read, want[i]); k != e.Key() {
				return fmt.Errorf("%s: holds %s where %s belongs", v.ID(), e.Key(), k)
			}
		}
		return nil
	}
	all, err := v.read.load(ctx, nil)
	if err != nil {
		return err
	}
	want := 0
	for _, row := range all {
		k, _ := sh.keyOf(v.read, row)
		if !sh.holds(v.read, row) || !w.complete && sh.orderOf(v.read, row, k) > w.bound {
			continue
		}
		want++
		if v.holding().get(k).IsZero() {
			return fmt.Errorf("%s: does not hold %s, which stands before its boundary", v.ID(), k)
		}
	}
	if want != len(held) {
		return fmt.Errorf("%s: holds %d rows, of which %d should be held", v.ID(), len(held), want)
	}
	return nil
}

// VerifyDuringClear has one read be that of a Clear and of a Verify, and reports
// whether the latter takes it for an answer.
func VerifyDuringClear[T any](ctx context.Context, b *Binding[T]) (compared bool, err error) {
	a := &verification{}
	err = b.own.reread(ctx, reload{forget: true, audits: []*verification{a}})
	return !a.busy, err
}

// PreparedLoaders returns how many loaders the feeds remember to have prepared.
func PreparedLoaders(r *Registry) int {
	n := 0
	for _, f := range r.eng.running() {
		f.mu.Lock()
		n += len(f.prepared)
		f.mu.Unlock()
	}
	return n
}

// MaxQuestions bounds the questions to an authorizer.
const MaxQuestions = maxQuestions
