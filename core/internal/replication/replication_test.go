package replication_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/engine"
	"github.com/binderyhq/bindery/core/internal/marks"
	"github.com/binderyhq/bindery/core/internal/replication"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/upkeep"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

func newHost() *upkeep.Host {
	log := slog.New(slog.DiscardHandler)
	return &upkeep.Host{
		Engine: engine.New(engine.Host{Logger: log, Now: time.Now}), Logger: log, Now: time.Now,
		Published: func(*live.View, *live.Event) {},
	}
}

func newMember() *rowset.Member { return rowset.NewMember("items", nil, nil, &rowset.Spec{}, nil) }

// publish publishes an empty version, as an origin without rows does.
func publish(r *replication.Replica) {
	r.Publish(r.Edit(live.NewFingerprint("test"), true), time.Now())
}

func stateOf(r upkeep.Rows) status.Binding {
	var st status.Binding
	r.Status(&st)
	return st
}

// TestReload holds that whoever asks for all rows waits for a call that has begun since,
// that an impatient one does not wait for an origin that is away, and that the replica is
// stale meanwhile.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := newHost()
		away, anew := false, 0
		r := replication.New(newMember(), &replication.Source{Replicate: func(ctx context.Context, to *replication.Replica) error {
			if away {
				return errors.New("the origin is away")
			}
			if to.Anew() {
				anew++
			}
			publish(to)
			to.Current()
			<-ctx.Done()
			return ctx.Err()
		}})
		if _, err := r.Reload(backlog.Reload{}); !errors.Is(err, upkeep.ErrNotStarted) {
			t.Errorf("before the start: %v", err)
		}
		if err := r.Touch(); !errors.Is(err, upkeep.ErrNotStarted) {
			t.Errorf("before the start: %v", err)
		}
		host.Attach([]upkeep.Rows{r})
		r.Begin()
		<-r.FirstTry()
		for range 3 {
			wait, err := r.Reload(backlog.Reload{Forget: true})
			if err != nil {
				t.Fatal(err)
			}
			if err := wait(t.Context(), true); err != nil {
				t.Error(err)
			}
		}
		if st := stateOf(r); anew != 3 || st.State != status.Live {
			t.Errorf("all rows were asked for %d times, the state is %v", anew, st.State)
		}
		away = true
		wait, _ := r.Reload(backlog.Reload{})
		if err := wait(t.Context(), false); err != nil {
			t.Error(err)
		}
		if st := stateOf(r); st.State != status.Stale || st.Err == nil {
			t.Errorf("the origin is away, the state is %v, %v", st.State, st.Err)
		}
		away = false
		if err := wait(t.Context(), true); err != nil { // the next attempt brings it
			t.Error(err)
		}
		r.Leave()
		if err := r.Left(t.Context()); err != nil {
			t.Error(err)
		}
		host.Engine.Stop()
	})
}

// TestReach holds that a mark is asked of the origin first, and reached when what was
// begun after that says so.
func TestReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := newHost()
		asked := 0
		source := &replication.Source{Replicate: func(ctx context.Context, to *replication.Replica) error {
			publish(to)
			to.Current()
			if to.Mark() != "" && asked > 0 {
				to.Marked(nil)
			}
			<-ctx.Done()
			return ctx.Err()
		}}
		r := replication.New(newMember(), source)
		host.Attach([]upkeep.Rows{r})
		r.Begin()
		<-r.FirstTry()
		if err := r.Reach(t.Context(), marks.Mark{}, "m", false); !errors.Is(err, driver.ErrForeign) {
			t.Errorf("an origin without marks: %v", err)
		}
		source.Reach = func(context.Context, *live.View, string) error { asked++; return nil }
		if err := r.Reach(t.Context(), marks.Mark{}, "m", false); err != nil || asked != 1 {
			t.Errorf("%v after %d questions", err, asked)
		}
		r.Leave()
		_ = r.Left(t.Context())
		host.Engine.Stop()
	})
}

// TestFinal holds that a member ends with an error that no attempt mends, and is not
// tried again; and that what another node keeps is not confined here.
func TestFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := newHost()
		refused, calls := errors.New("no such member"), 0
		family := replication.New(newMember(), &replication.Source{Replicate: func(context.Context, *replication.Replica) error {
			calls++
			return refused
		}})
		host.Attach([]upkeep.Rows{family})
		if _, err := family.Derive(newMember(), true, nil); err == nil {
			t.Error("it was confined")
		}
		var told error
		member, err := family.Derive(newMember(), false, func(err error) bool { told = err; return true })
		if err != nil {
			t.Fatal(err)
		}
		member.Begin()
		if err := member.Left(t.Context()); err != nil || !errors.Is(told, refused) || calls != 1 {
			t.Errorf("%v; told of %v, called %d times", err, told, calls)
		}
		host.Engine.Stop()
	})
}
