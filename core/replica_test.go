package core_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// elsewhere is a loader whose rows come from outside: each value that is sent is
// published as the only row.
type elsewhere struct {
	*driver.Description[item]
	calls atomic.Int64
	do    func(ctx context.Context, to *core.Replica) error
}

func newElsewhere(do func(ctx context.Context, to *core.Replica) error) *elsewhere {
	return &elsewhere{Description: driver.Describe[item](driver.Table{Name: "elsewhere"}, "id"), do: do}
}

func (*elsewhere) Load(context.Context, []driver.Key) ([]*item, error) {
	return nil, errors.ErrUnsupported
}

func (e *elsewhere) Replicate(ctx context.Context, to *core.Replica) error {
	e.calls.Add(1)
	return e.do(ctx, to)
}

var elsewherePrint = live.NewFingerprint("elsewhere")

// show publishes one row.
func show(to *core.Replica, it item) bool {
	edit := to.Edit(elsewherePrint, false)
	edit.Put(elsewherePrint.Row(live.Content{Key: driver.KeyOf(it.ID), OrderKey: string(driver.KeyOf(it.ID)), JSON: []byte(`{"id":1}`), Value: &it}, live.Row{}, time.Unix(0, 0)))
	ok := to.Publish(edit, time.Unix(0, 0))
	to.Current()
	return ok
}

func quietRegistry() *core.Registry {
	return core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), LoadWait: -1}.NewRegistry()
}

func stopped(t *testing.T, reg *core.Registry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := reg.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// TestReplicas: what a Replicator publishes is served as a binding is; when it fails,
// or panics, the binding is stale and it is called again.
func TestReplicas(t *testing.T) {
	fail, begin := make(chan error), make(chan struct{}, 1)
	begin <- struct{}{}
	e := newElsewhere(func(ctx context.Context, to *core.Replica) error {
		select {
		case <-begin:
		case <-ctx.Done():
			return ctx.Err()
		}
		show(to, item{ID: 1, Name: "one"})
		select {
		case err := <-fail:
			if err == nil {
				panic("it breaks")
			}
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	reg, b := quietRegistry(), core.Bind("things", e)
	_ = reg.Add(b)
	if err := reg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer stopped(t, reg)
	<-b.Loaded()
	if row, ok := b.Get(1); !ok || row.Name != "one" {
		t.Errorf("%v, %v", row, ok)
	}
	for i, err := range []error{errors.New("lost"), nil} {
		fail <- err
		want := "lost"
		if err == nil {
			want = "it breaks"
		}
		wait(t, "it to be stale", func() bool {
			st := b.Status()
			return st.State == status.Stale && st.Err != nil && strings.Contains(st.Err.Error(), want) && e.calls.Load() == int64(i+2)
		})
		begin <- struct{}{}
		wait(t, "it to be live again", func() bool { return b.Status().State == status.Live })
		if b.Len() != 1 || e.calls.Load() != int64(i+2) {
			t.Errorf("%d: %+v after %d calls", i, b.Status(), e.calls.Load())
		}
	}
	close(begin)
	mark, err := reg.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := reg.Reach(t.Context(), mark, b.View); !errors.Is(err, core.ErrForeignMark) {
		t.Errorf("a mark: %v", err)
	}
	if _, err := b.Write(t.Context(), live.Write{}); !errors.Is(err, live.ErrNotWritable) {
		t.Errorf("a write: %v", err)
	}
	if _, _, err := reg.Saved(b.View); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("saved: %v", err)
	}
	if err := reg.Resync(t.Context(), b.View); err != nil || e.calls.Load() != 4 {
		t.Errorf("Resync: %v, %d calls", err, e.calls.Load())
	}
	if err := reg.Remove(t.Context(), "things"); err != nil || !errors.Is(b.Err(), live.ErrRemoved) {
		t.Errorf("Remove: %v, %v", err, b.Err())
	}
}

// TestReplicasOfMembers: members are replicas of their own; one that is refused ends
// with the refusal, and another call asks again.
func TestReplicasOfMembers(t *testing.T) {
	var refuse atomic.Bool
	refuse.Store(true)
	e := newElsewhere(func(ctx context.Context, to *core.Replica) error {
		if v, _ := to.View().Params().Get("id"); v.String() == "2" && refuse.Load() {
			return &core.ArgumentError{Binding: "some", Param: "id", Detail: "is refused"}
		}
		show(to, item{ID: 1})
		<-ctx.Done()
		return ctx.Err()
	})
	reg, f := quietRegistry(), core.BindFamily("some", e, core.Where(filter.Eq("id", filter.Param("id"))))
	_ = reg.Add(f)
	if err := reg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer stopped(t, reg)
	one, err := f.Open(t.Context(), core.Args{"id": 1})
	if err != nil || one.Len() != 1 {
		t.Fatalf("%v", err)
	}
	defer one.Close()
	var argument *core.ArgumentError
	if _, err := f.Open(t.Context(), core.Args{"id": 2}); !errors.As(err, &argument) || argument.Detail != "is refused" {
		t.Errorf("refused: %v", err)
	}
	refuse.Store(false)
	two, err := f.Open(t.Context(), core.Args{"id": 2})
	if err != nil {
		t.Fatal(err)
	}
	two.Close()
	if _, err := reg.Open(t.Context(), "some", core.Args{"id": 1}, filter.Eq("id", 1)); err == nil {
		t.Error("a follower was confined")
	}
}

func TestReplicasAreDeclaredPlainly(t *testing.T) {
	e := newElsewhere(nil)
	reg := quietRegistry()
	_ = reg.Add(core.Bind("a", e, core.Limit(3), core.OrderBy("id"), core.Where(filter.Eq("id", 1)), core.Columns("id")))
	err := reg.Start(t.Context())
	for _, want := range []string{"a limit", "an order", "a filter", "what clients see"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	stopped(t, reg)
}
