package core_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

func textLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// toucher touches the binding whose first version it observes.
type toucher struct {
	coretest.Plugin
	reg  *core.Registry
	once sync.Once
}

func (p *toucher) Published(v *live.View, _ *live.Event) {
	p.once.Do(func() { _ = p.reg.Touch(v) })
}

// TestTouchWhileObserving: no lock is held while a plugin observes.
func TestTouchWhileObserving(t *testing.T) {
	r := newItems(t, core.Config{LoadWait: 2 * time.Second})
	_ = r.reg.Use(&toucher{Plugin: coretest.Plugin{ID: "t"}, reg: r.reg})
	b := core.Bind("items", r.table)
	r.table.Put(item{ID: 1})
	r.start(t, b)
	defer r.stop(t)
	if err := r.reg.Flush(r.ctx); err != nil {
		t.Fatal(err)
	}
	if v := b.Version(); v.Seq != 2 {
		t.Errorf("version %+v, want the second: it was touched", v)
	}
}

// TestFlushWhileABindingIsRemoved: what was removed has nothing to show.
func TestFlushWhileABindingIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newItems(t, core.Config{})
		other := coretest.NewTable[item]("others", "id")
		r.start(t, core.Bind("items", r.table), core.Bind("others", other))
		defer r.stop(t)
		release := other.Hold()
		receipt := r.source.Sink().Report(other.Put(item{ID: 1}))
		synctest.Wait()
		flushed, waited := make(chan error, 1), make(chan error, 1)
		go func() { flushed <- r.reg.Flush(r.ctx) }()
		go func() { waited <- receipt.Wait(r.ctx) }()
		synctest.Wait()
		if err := r.reg.Remove(r.ctx, "others"); err != nil {
			t.Fatal(err)
		}
		release()
		if err := errors.Join(<-flushed, <-waited); err != nil {
			t.Errorf("waiting while the registry runs: %v", err)
		}
	})
}

// forgetful announces something, and fails to watch before it has confirmed it.
type forgetful struct {
	coretest.Source
	table driver.Table
	n     atomic.Int32
}

func (s *forgetful) Watch(ctx context.Context, sink driver.Sink) error {
	if s.n.Add(1) == 1 {
		sink.Watching()
		sink.Announce(driver.Change{Table: s.table})
		return errors.New("connection lost")
	}
	return s.Source.Watch(ctx, sink)
}

// TestAnnouncementsEndWithTheWatch: nobody can confirm what a failed Watch has
// announced.
func TestAnnouncementsEndWithTheWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newItems(t, core.Config{})
		src := &forgetful{table: r.table.Name()}
		b := core.Bind("items", r.table)
		_ = r.reg.Add(b)
		_ = r.reg.Watch(src)
		if err := r.reg.Start(r.ctx); err != nil {
			t.Fatal(err)
		}
		defer r.stop(t)
		time.Sleep(400 * time.Millisecond) // it watches again
		begun := time.Now()
		for i := range 7 {
			if err := src.Report(r.ctx, r.table.Put(item{ID: i})); err != nil {
				t.Fatal(err)
			}
		}
		if d, st := time.Since(begun), r.reg.Status().Tables[0]; d > 0 || st.WaitedOut > 0 {
			t.Errorf("seven reports took %v: %+v", d, st)
		}
	})
}

// TestWaitForACommitIsBounded holds an announcement of the whole table open. Each
// read waits AnnounceWait for it, and no longer each time.
func TestWaitForACommitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newItems(t, core.Config{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		r.ctx = ctx
		r.start(t, core.Bind("items", r.table))
		defer r.stop(t)
		a := r.source.Sink().Announce(driver.Change{Table: r.table.Name()}) // a long bulk UPDATE
		for i := range 10 {
			begun := time.Now()
			r.report(t, r.table.Put(item{ID: i}))
			if d := time.Since(begun); d != 100*time.Millisecond {
				t.Errorf("report %d shows after %v, want AnnounceWait", i, d)
			}
		}
		if st := r.reg.Status().Tables[0]; st.WaitedOut != 10 || st.Failures != 0 {
			t.Errorf("%+v", st)
		}
		if err := a.Confirm().Wait(ctx); err != nil {
			t.Fatal(err)
		}
	})
}

// lagging is a source that follows the database and does not catch up.
type lagging struct {
	coretest.Source
	slow atomic.Bool
}

func (s *lagging) CatchUp(ctx context.Context, _ driver.Snapshot) error {
	if !s.slow.Load() {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

// TestWaitForASourceIsBounded: each read waits CatchUpWait for a source that
// lags, and no longer each time.
func TestWaitForASourceIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newItems(t, core.Config{})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
		defer cancel()
		r.ctx = ctx
		src := &lagging{}
		_ = r.reg.Add(core.Bind("items", r.table))
		_ = r.reg.Watch(src)
		if err := r.reg.Start(r.ctx); err != nil {
			t.Fatal(err)
		}
		defer r.stop(t)
		src.slow.Store(true)
		for i := range 10 {
			begun := time.Now()
			if err := src.Report(ctx, r.table.Put(item{ID: i})); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(begun); d != 2*time.Second {
				t.Errorf("report %d shows after %v, want CatchUpWait", i, d)
			}
		}
	})
}

// TestResyncWhenTheDatabaseIsBack does not wait until the feed would have tried
// by itself; nor does the first load of a binding.
func TestResyncWhenTheDatabaseIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newItems(t, core.Config{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		r.ctx = ctx
		b := core.Bind("items", r.table)
		r.table.Put(item{ID: 1})
		r.start(t, b)
		defer r.stop(t)
		r.table.Fail(errors.New("away"))
		_ = r.source.Sink().Report(r.table.Put(item{ID: 1, Price: 2}))
		time.Sleep(10 * time.Minute)
		r.table.Fail(nil)
		begun := time.Now()
		if err := b.Resync(ctx); err != nil || time.Since(begun) > 0 {
			t.Errorf("Resync took %v (%v)", time.Since(begun), err)
		}
		r.table.Fail(errors.New("away again"))
		_ = r.source.Sink().Report(r.table.Put(item{ID: 1, Price: 3}))
		time.Sleep(10 * time.Minute)
		r.table.Fail(nil)
		begun = time.Now()
		late := core.Bind("late", r.table)
		if err := r.reg.Add(late); err != nil {
			t.Fatal(err)
		}
		<-late.Loaded()
		if d := time.Since(begun); d > 0 {
			t.Errorf("a first load took %v", d)
		}
	})
}

// TestWriterWaitsOnceForWhatIsLate: after one writer has waited in vain no
// other does, until the bindings have caught up.
func TestWriterWaitsOnceForWhatIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		r := newItems(t, core.Config{Logger: textLogger(&log)})
		b := core.Bind("items", r.table)
		r.start(t, b)
		defer r.stop(t)
		release := r.table.Hold()
		write := func(id int) (time.Duration, error) {
			ctx, cancel := context.WithTimeout(r.ctx, 2*time.Second)
			defer cancel()
			begun := time.Now()
			err := r.source.Report(ctx, r.table.Put(item{ID: id}))
			return time.Since(begun), err
		}
		if d, err := write(1); !errors.Is(err, context.DeadlineExceeded) || d != 2*time.Second {
			t.Errorf("the first writer waits %v (%v)", d, err)
		}
		for id := 2; id < 5; id++ {
			if d, err := write(id); !errors.Is(err, driver.ErrLate) || d != 0 {
				t.Errorf("writer %d waits %v (%v)", id, d, err)
			}
		}
		release()
		if err := r.reg.Flush(r.ctx); err != nil { // it has caught up
			t.Fatal(err)
		}
		if _, err := write(5); err != nil || b.Len() != 5 {
			t.Errorf("afterwards: %v, %d rows", err, b.Len())
		}
		st := r.reg.Status().Tables[0]
		// The last writer waits only when the feed is not quicker than it.
		if st.Waits < 1 || st.Waits > 2 || st.WaitsInVain != 1 || st.WaitTime != 2*time.Second {
			t.Errorf("counted %+v", st)
		}
		if n := strings.Count(log.String(), "writers wait long"); n != 1 {
			t.Errorf("logged %d times:\n%s", n, log.String())
		}
	})
}

// TestWritersDoNotWaitForQueries: what is read in full whenever a table changes
// follows at its own pace, unless it asks to be waited for.
func TestWritersDoNotWaitForQueries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, awaited := range []bool{false, true} {
			r, l := newTotalsRig(t, core.Config{})
			var opts []core.Option
			if awaited {
				opts = append(opts, core.Tune(core.Tuning{WritesWait: true}))
			}
			totals, items := core.Bind("totals", l, opts...), core.Bind("items", r.table)
			l.takes = 300 * time.Millisecond
			r.start(t, totals, items)
			time.Sleep(time.Second) // the feed has rested
			begun := time.Now()
			r.report(t, r.table.Put(item{ID: 9, Name: "cap"}))
			want := time.Duration(0)
			if awaited {
				want = 300 * time.Millisecond
			}
			if d := time.Since(begun); d != want || items.Len() != 3 {
				t.Errorf("awaited: %v; the write took %v, want %v; %d items", awaited, d, want, items.Len())
			}
			r.stop(t)
		}
	})
}

// TestLoadersAreForgotten: nothing is kept of loaders that nobody uses.
func TestLoadersAreForgotten(t *testing.T) {
	r := newItems(t, core.Config{})
	r.start(t, core.Bind("first", r.table))
	defer r.stop(t)
	for i := range 50 {
		b := core.Bind("other", coretest.NewTable[item]("items", "id"))
		if err := r.reg.Add(b); err != nil {
			t.Fatal(i, err)
		}
		<-b.Loaded()
		if err := r.reg.Remove(r.ctx, "other"); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.reg.Flush(r.ctx); err != nil {
		t.Fatal(err)
	}
	if n := core.PreparedLoaders(r.reg); n != 1 {
		t.Errorf("%d loaders are known, 1 is in use", n)
	}
}
