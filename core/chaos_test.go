package core_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
)

// other is a tester for goroutines that are not the test's own.
type other struct{ t *testing.T }

func (o other) Helper() {}

func (o other) Fatalf(format string, args ...any) {
	o.t.Errorf(format, args...)
	runtime.Goexit()
}

// TestEverythingAtOnce has members come and go, windows and orders of the
// database's among them, while rows change, the database fails and refuses,
// bindings are added and removed, and all that can be asked of a binding is asked.
// Whoever follows sees no gap, and in the end everything is as the table has it,
// also what nobody sees.
func TestEverythingAtOnce(t *testing.T) {
	r := newItems(t, core.Config{AnnounceWait: 5 * time.Millisecond, MaxBatchKeys: 12})
	s := &picky{store: newStore()}
	price := func(n int) *int { return &n }
	rnd := func(rng *rand.Rand) ware {
		w := ware{ID: 1 + rng.IntN(30), Shelf: rng.IntN(14), Note: fmt.Sprint(rng.IntN(3))}
		if rng.IntN(4) > 0 {
			w.Price = price(rng.IntN(10))
		}
		return w
	}
	all := core.Bind("all", s, core.OrderBy("-price"))
	top := core.Bind("top", s, core.OrderBy("price"), core.Limit(3), core.Tune(core.Tuning{Margin: 2}))
	fold := core.Bind("fold", s, core.Ordered(driver.Order{Column: "name", Collation: "fold"}), core.Limit(4))
	fam := shelves(s, core.Tune(core.Tuning{IdleAfter: 150 * time.Millisecond, MaxMembers: 20}))
	best := core.BindFamily("best", s, core.Where(filter.Ge("shelf", filter.Param("shelf"))), core.OrderBy("-price"), core.Limit(2), core.Tune(core.Tuning{Margin: 1, IdleAfter: 150 * time.Millisecond}))
	r.start(t, all, top, fold, fam, best)
	defer r.stop(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	every := func(seed uint64, do func(rng *rand.Rand)) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(time.Now().UnixNano())))
			for {
				select {
				case <-stop:
					return
				default:
					do(rng)
				}
			}
		})
	}
	for i := range 2 {
		every(uint64(i), func(rng *rand.Rand) {
			a, b := rnd(rng), rnd(rng)
			keys := []driver.Key{key(a.ID), key(b.ID)}
			c := driver.Change{Table: s.Name(), Keys: slices.Clone(keys)}
			ann := c
			ann.Keys = slices.Clone(keys)
			if rng.IntN(6) == 0 {
				ann.Keys = nil
			}
			an := r.source.Sink().Announce(ann)
			switch rng.IntN(5) {
			case 0:
				s.Remove(keys...)
			default:
				s.Put(a, b)
			}
			if rng.IntN(20) == 0 {
				an.Confirm(driver.Change{Table: s.Name()})
			} else {
				an.Confirm(c)
			}
			time.Sleep(time.Duration(rng.IntN(500)) * time.Microsecond)
		})
	}
	for i := range 3 {
		every(10+uint64(i), func(rng *rand.Rand) {
			f := "shelf"
			if rng.IntN(2) == 0 {
				f = "best"
			}
			g, err := r.reg.Open(r.ctx, f, core.Args{"shelf": rng.IntN(14)})
			if err != nil {
				if !errors.Is(err, core.ErrTooManyMembers) {
					t.Error(err)
				}
				return
			}
			defer g.Close()
			sub := g.Subscribe(r.ctx, live.SubscribeOptions{})
			defer sub.Close()
			ctx, cancel := context.WithTimeout(r.ctx, time.Duration(rng.IntN(20))*time.Millisecond)
			defer cancel()
			var c client
			for {
				e, err := sub.Next(ctx)
				if err != nil {
					return
				}
				c.apply(other{t}, e)
			}
		})
	}
	every(20, func(rng *rand.Rand) {
		ctx, cancel := context.WithTimeout(r.ctx, 50*time.Millisecond)
		defer cancel()
		vs := r.reg.Views()
		v := vs[rng.IntN(len(vs))]
		switch rng.IntN(5) {
		case 0:
			_ = r.reg.Clear(ctx, v)
		case 1:
			_ = r.reg.Resync(ctx, v)
		case 2:
			_, _ = r.reg.Verify(ctx, v)
		case 3:
			_ = r.reg.Touch(v)
		default:
			if rng.IntN(4) == 0 {
				_ = r.reg.Clear(ctx)
			}
		}
	})
	every(21, func(rng *rand.Rand) {
		time.Sleep(time.Duration(rng.IntN(30)) * time.Millisecond)
		switch rng.IntN(3) {
		case 0:
			s.Fail(errors.New("away"))
		default:
			s.Fail(nil)
		}
		s.refuse(fmt.Sprintf("shelf = %d", rng.IntN(14)), fmt.Sprintf("shelf >= %d", rng.IntN(14)))
		time.Sleep(time.Duration(rng.IntN(30)) * time.Millisecond)
		s.Fail(nil)
	})
	every(22, func(rng *rand.Rand) {
		b := core.Bind("brief", s, core.Where(filter.Lt("shelf", rng.IntN(14))), core.OrderBy("price"), core.Limit(1+rng.IntN(3)), margin(rng.IntN(2)))
		if err := r.reg.Add(b); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
		if err := r.reg.Remove(r.ctx, "brief"); err != nil {
			t.Error(err)
		}
	})
	every(23, func(rng *rand.Rand) {
		sub := top.Subscribe(live.SubscribeOptions{})
		defer sub.Close()
		var c client
		ctx, cancel := context.WithTimeout(r.ctx, 100*time.Millisecond)
		defer cancel()
		for {
			e, err := sub.Next(ctx)
			if err != nil {
				return
			}
			c.apply(other{t}, e)
			if len(c.rows) > 3 {
				t.Errorf("%d of the first three rows", len(c.rows))
			}
		}
	})
	time.Sleep(time.Second) // that long it goes on
	close(stop)
	wg.Wait()
	s.Fail(nil)
	s.refuse()
	var grants []*core.Grant
	for i := range 14 {
		for _, f := range []string{"shelf", "best"} {
			g, err := r.reg.Open(r.ctx, f, core.Args{"shelf": i})
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			select {
			case <-g.View().Loaded():
			case <-r.ctx.Done():
				t.Fatalf("%s does not load", g.View().ID())
			}
			grants = append(grants, g)
		}
	}
	if err := r.reg.Flush(r.ctx); err != nil {
		t.Fatal(err)
	}
	recovered(t, r.reg)
	if err := core.CheckHeld(r.ctx, r.reg); err != nil {
		t.Fatal(err)
	}
	if n := len(s.Rows()); all.Len() != n {
		t.Errorf("%d rows of %d", all.Len(), n)
	}
	for _, g := range grants {
		ds, err := r.reg.Verify(r.ctx, g.View())
		d := ds[g.View().ID()]
		if err != nil || d.Len() > 0 {
			t.Errorf("%s: %v %v", g.View().ID(), d, err)
		}
	}
	for _, b := range []*core.Binding[ware]{all, top, fold} {
		if d, err := b.Verify(r.ctx); err != nil || d.Len() > 0 {
			t.Errorf("%s: %v %v", b.ID(), d, err)
		}
	}
}
