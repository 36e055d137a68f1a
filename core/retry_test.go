package core_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/status"
)

// picky is a store whose database refuses filters in which some text occurs, as
// one does to which a client's value means nothing.
type picky struct {
	*store

	mu      sync.Mutex
	refused []string
}

var errRefused = errors.New("value overflows numeric format")

func (p *picky) Query(ctx context.Context, q driver.Query) ([]*ware, error) {
	p.mu.Lock()
	refused := p.refused
	p.mu.Unlock()
	for _, text := range refused {
		if q.Filter != nil && strings.Contains(q.Filter.String(), text) {
			return nil, errRefused
		}
	}
	return p.store.Query(ctx, q)
}

func (p *picky) refuse(texts ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused = texts
}

func shelves(s *picky, opts ...core.Option) *core.Family[ware] {
	return core.BindFamily("shelf", s, append(opts, core.Where(filter.Eq("shelf", filter.Param("shelf"))))...)
}

// TestMembersThatCannotLoad: what one client asks for does not keep the others
// from seeing changes, and from loading what they ask for.
func TestMembersThatCannotLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newItems(t, core.Config{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		r.ctx = ctx
		s := &picky{store: newStore()}
		s.refuse("shelf = 13")
		s.Put(ware{ID: 1, Shelf: 1}, ware{ID: 2, Shelf: 13})
		all, fam := core.Bind("all", s), shelves(s, core.Tune(core.Tuning{IdleAfter: time.Minute}))
		r.start(t, all, fam)
		defer r.stop(t)
		bad, err := r.reg.Open(ctx, "shelf", core.Args{"shelf": 13})
		if err != nil {
			t.Fatal(err)
		}
		for id := 3; id < 20; id++ {
			r.report(t, s.Put(ware{ID: id, Shelf: 1}))
			if all.Len() != id {
				t.Fatalf("%d rows, want %d", all.Len(), id)
			}
			m, err := fam.Open(ctx, core.Args{"shelf": id % 4})
			if err != nil {
				t.Fatal(err)
			}
			m.Close()
			time.Sleep(time.Second)
		}
		if st := all.Status(); st.State != status.Live || st.Err != nil {
			t.Errorf("all others: %v, %v", st.State, st.Err)
		}
		if st := r.reg.StatusOf(bad.View()); st.State != status.Loading || !errors.Is(st.Err, errRefused) {
			t.Errorf("the member: %v, %v", st.State, st.Err)
		}
		short, done := context.WithTimeout(ctx, time.Minute)
		defer done()
		if err := r.reg.Resync(short, bad.View()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("reading it again: %v", err)
		}
		// It is tried again, ever more rarely, until it loads.
		failures := r.reg.Status().Tables[0].Failures
		time.Sleep(10 * time.Minute)
		if n := r.reg.Status().Tables[0].Failures - failures; n < 20 || n > 60 {
			t.Errorf("it was tried %d times in ten minutes", n)
		}
		s.refuse()
		select {
		case <-bad.View().Loaded():
		case <-ctx.Done():
			t.Fatal("it does not load when it can")
		}
		if got := keysOf(bad.View()); len(got) != 1 || got[0] != "2" {
			t.Errorf("it holds %v", got)
		}
		bad.Close()
		s.refuse("shelf = 14")
		if bad, err = r.reg.Open(ctx, "shelf", core.Args{"shelf": 14}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		bad.Close()
		time.Sleep(2 * time.Minute) // it retires
		failures = r.reg.Status().Tables[0].Failures
		time.Sleep(10 * time.Minute)
		if n := r.reg.Status().Tables[0].Failures - failures; n > 0 {
			t.Errorf("a member that has retired was tried %d times", n)
		}
	})
}

// TestManyMembersAfterAnOutage: while the database is away nobody knows whom the
// failures are due to. Afterwards all load, and not all one by one.
func TestManyMembersAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 200
		r := newItems(t, core.Config{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		r.ctx = ctx
		s := &picky{store: newStore()}
		fam := shelves(s)
		r.start(t, fam)
		defer r.stop(t)
		s.Fail(errors.New("connection refused"))
		grants := make([]*core.Grant, n)
		for i := range grants {
			g, err := r.reg.Open(ctx, "shelf", core.Args{"shelf": i})
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			grants[i] = g
			if i%20 == 0 {
				time.Sleep(time.Second)
			}
		}
		time.Sleep(time.Minute)
		s.Fail(nil)
		reads, _ := s.Reads()
		for i, g := range grants {
			select {
			case <-g.View().Loaded():
			case <-ctx.Done():
				t.Fatalf("member %d does not load", i)
			}
		}
		if after, _ := s.Reads(); after-reads > n/2 {
			t.Errorf("%d members took %d reads", n, after-reads)
		}
	})
}

// TestMembersThatCannotLoadAgainstModel opens and closes members that the
// database refuses now and then, while rows change.
func TestMembersThatCannotLoadAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newItems(t, core.Config{})
		s := &picky{store: newStore()}
		all, fam := core.Bind("all", s), shelves(s, core.Tune(core.Tuning{IdleAfter: time.Hour, MaxMembers: 8}))
		r.start(t, all, fam)
		defer r.stop(t)
		var grants []*core.Grant
		defer func() {
			for _, g := range grants {
				g.Close()
			}
		}()
		shelf := func() int { return rapid.IntRange(1, 12).Draw(t, "shelf") }
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				var texts []string
				for range rapid.IntRange(0, 3).Draw(t, "refused") {
					texts = append(texts, fmt.Sprintf("shelf = %d", shelf()))
				}
				s.refuse(texts...)
			case 1, 2:
				if g, err := r.reg.Open(r.ctx, "shelf", core.Args{"shelf": shelf()}); err == nil {
					grants = append(grants, g)
				} else if !errors.Is(err, core.ErrTooManyMembers) {
					t.Fatalf("%v", err)
				}
			case 3:
				if len(grants) > 0 {
					grants[0].Close()
					grants = grants[1:]
				}
			default:
				r.report(t, s.Put(ware{ID: rapid.IntRange(1, 8).Draw(t, "id"), Shelf: shelf()}))
				if all.Len() != len(s.Rows()) {
					t.Fatalf("%d rows, want %d", all.Len(), len(s.Rows()))
				}
			}
		}
		s.refuse()
		rows := s.Rows()
		for _, g := range grants {
			// Somebody asks for it once more, so the test need not wait for its turn.
			if err := r.reg.Resync(r.ctx, g.View()); err != nil {
				t.Fatalf("%s: %v", g.View().ID(), err)
			}
			want := 0
			for _, w := range rows {
				if v, _ := g.View().Params().Get("shelf"); v.String() == fmt.Sprint(w.Shelf) {
					want++
				}
			}
			if g.View().Len() != want {
				t.Fatalf("%s has %d rows, want %d", g.View().ID(), g.View().Len(), want)
			}
		}
		if err := r.reg.Flush(r.ctx); err != nil {
			t.Fatalf("%v", err)
		}
	})
}
