package core_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/status"
)

// spoiled is a store that refuses the statements with the condition "bad", or never answers
// them, once it is told to.
type spoiled struct {
	*hindered
	refuses, hangs atomic.Bool
}

var errSpoiled = errors.New("no such function: bad")

func (r *spoiled) check(ctx context.Context, q driver.Query) error {
	switch {
	case q.Where != condition("bad"):
	case r.hangs.Load():
		<-ctx.Done()
		return ctx.Err()
	case r.refuses.Load():
		return errSpoiled
	}
	return nil
}

// hindered is a store that asks a function before it answers statements that may have a
// condition of the loader's own. It evaluates none: each holds for all rows.
type hindered struct {
	*gated
	before func(context.Context, driver.Query) error
}

func hinder(before func(context.Context, driver.Query) error) *hindered {
	return &hindered{newGated(), before}
}

func (h *hindered) Query(ctx context.Context, q driver.Query) ([]*ware, error) {
	if err := h.before(ctx, q); err != nil {
		return nil, err
	}
	return h.gated.Query(ctx, q)
}

func (h *hindered) Scan(ctx context.Context, q driver.Query, size int, visit func([]*ware) error) error {
	if err := h.before(ctx, q); err != nil {
		return err
	}
	q.Where = nil
	return h.Table.Scan(ctx, q, size, visit)
}

// TestComparisonsHaveSeparateFates: a binding whose statement fails or never ends while its
// table is compared is in trouble alone. The comparison finds what changed in the others,
// wherever they were declared, and the binding comes back by itself.
func TestComparisonsHaveSeparateFates(t *testing.T) {
	for name, c := range map[string]struct {
		limited bool
		spoil   func(*spoiled) *atomic.Bool
	}{
		"a condition that is refused":            {spoil: func(r *spoiled) *atomic.Bool { return &r.refuses }},
		"a limited query that is refused":        {limited: true, spoil: func(r *spoiled) *atomic.Bool { return &r.refuses }},
		"a condition that is never answered":     {spoil: func(r *spoiled) *atomic.Bool { return &r.hangs }},
		"a limited query that is never answered": {limited: true, spoil: func(r *spoiled) *atomic.Bool { return &r.hangs }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &spoiled{}
				s.hindered = hinder(s.check)
				s.Put(ware{ID: 1}, ware{ID: 2})
				r := newItems(t, core.Config{ReadTimeout: 2 * time.Second})
				bad := []core.Option{core.ForLoader(driver.Terms{Where: condition("bad")})}
				if c.limited {
					bad = append(bad, core.Limit(100))
				}
				culprit, second := core.Bind("culprit", s, bad...), core.Bind("second", s, bad...)
				asked := core.Bind("asked", s, opaque())
				shared := core.Bind("shared", s, core.Where(filter.Ge("id", 0)))
				r.start(t, culprit, second, asked, shared)
				defer r.stop(t)

				spoil := c.spoil(s)
				spoil.Store(true)
				s.Put(ware{ID: 3})
				ctx, cancel := context.WithTimeout(r.ctx, 50*time.Second)
				defer cancel()
				if err := r.source.Sink().Report(driver.Change{Table: s.Name(), Compare: true}).Wait(ctx); err != nil {
					t.Errorf("the comparison does not end: %v", err)
				}
				for _, b := range []*core.Binding[ware]{asked, shared} {
					if _, ok := b.Get(3); !ok || b.Status().State != status.Live {
						t.Errorf("%q holds %d rows and is %v", b.Name(), b.Len(), b.Status().State)
					}
				}
				culprits := []*core.Binding[ware]{culprit, second}
				until := func(what string, holds func(*core.Binding[ware]) bool) {
					for _, b := range culprits {
						for n := 0; !holds(b); n++ {
							if n == 600 {
								t.Fatalf("%q is not %s: it has %d rows and is %v: %v", b.Name(), what, b.Len(), b.Status().State, b.Status().Err)
							}
							time.Sleep(100 * time.Millisecond)
						}
					}
				}
				until("in trouble", func(b *core.Binding[ware]) bool { return b.Status().State == status.Stale && b.Status().Err != nil })
				spoil.Store(false)
				until("back", func(b *core.Binding[ware]) bool {
					_, ok := b.Get(3)
					return ok && b.Status().State == status.Live
				})
			})
		})
	}
}

// TestReachWaitsForWhatAReadMissed: a comparison overtakes the read that ends a binding's
// trouble, and which lacks a commit that the comparison has seen. The binding reaches a later mark
// when it shows that, and not when the read has ended.
func TestReachWaitsForWhatAReadMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &spoiled{}
		s.hindered = hinder(s.check)
		s.Put(ware{ID: 1})
		r := newItems(t, core.Config{})
		well := core.Bind("well", s, core.Where(filter.Eq("id", 1)))
		ill := core.Bind("ill", s, core.ForLoader(driver.Terms{Where: condition("bad")}))
		r.start(t, well, ill)
		defer r.stop(t)

		s.refuses.Store(true)
		r.report(t, driver.Change{Table: s.Name(), Compare: true})
		if st := ill.Status(); st.State != status.Stale || st.Err == nil {
			t.Fatalf("the binding is %v: %v", st.State, st.Err)
		}
		release := s.close(func(q driver.Query) bool { return q.Where == condition("bad") })
		defer release()
		s.refuses.Store(false)
		time.Sleep(10 * time.Second) // it is read again, and the answer is on its way
		s.Put(ware{ID: 2})
		r.report(t, driver.Change{Table: s.Name(), Compare: true})
		mark, err := r.reg.Mark(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		reached := make(chan error, 1)
		go func() {
			err := r.reg.Reach(r.ctx, mark, ill.View)
			if _, ok := ill.Get(2); err == nil && !ok {
				err = errors.New("it has reached the mark without the row")
			}
			reached <- err
		}()
		synctest.Wait()
		release()
		if err := <-reached; err != nil {
			t.Error(err)
		}
	})
}

// TestReachWaitsForNoOtherRead: a binding reaches a mark while another one of its table is
// being read.
func TestReachWaitsForNoOtherRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGated()
		g.Put(ware{ID: 1})
		r := newItems(t, core.Config{})
		quick, slow := core.Bind("quick", g), core.Bind("slow", g, opaque(), core.Limit(5))
		r.start(t, quick)
		defer r.stop(t)
		release := g.close(func(q driver.Query) bool { return q.Limit > 0 })
		defer release()
		if err := r.reg.Add(slow); err != nil {
			t.Fatal(err)
		}
		mark, err := r.reg.Mark(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.reg.Reach(r.ctx, mark, quick.View); err != nil {
			t.Errorf("the binding waits for another one: %v", err)
		}
	})
}
