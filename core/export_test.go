package core

import (
	"context"
	"errors"
	"fmt"

	"github.com/binderyhq/bindery/core/internal/rowset"
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
				errs = append(errs, v.CheckHeld(ctx))
			}
			for v := range p.others {
				errs = append(errs, v.CheckHeld(ctx))
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
		v.Holding().All(func(r live.Row) {
			n++
			found := false
			if h := p.held[r.Key()]; h != nil {
				h.holders.each(func(o *rowset.Member) { found = found || o == v })
			}
			if !found {
				err = fmt.Errorf("the pool does not know that %s holds %s", v.ID(), r.Key())
			}
		})
	}
	for _, h := range p.held {
		h.holders.each(func(*rowset.Member) { n-- })
	}
	if err == nil && n != 0 {
		err = fmt.Errorf("the pool takes %d rows for held that are not", -n)
	}
	return err
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
