package coretest_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type note struct {
	ID   int    `json:"id"`
	Text string `json:"text"`
}

func load(t *testing.T, ctx context.Context, table *coretest.Table[note], keys ...driver.Key) map[int]string {
	t.Helper()
	if len(keys) == 0 {
		keys = nil
	}
	rows, err := table.Load(ctx, keys)
	if err != nil {
		t.Fatal(err)
	}
	got := map[int]string{}
	for _, r := range rows {
		got[r.ID] = r.Text
	}
	return got
}

func TestTable(t *testing.T) {
	ctx := t.Context()
	table := coretest.NewTable[note]("notes", "id")
	c := table.Put(note{1, "a"}, note{2, "b"})
	if c.Table != table.Name() || len(c.Keys) != 2 || c.Keys[0] != driver.KeyOf(1) {
		t.Errorf("change %v", c)
	}
	open, err := table.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	snap := open.Context(ctx)
	table.Put(note{1, "later"})
	table.Remove(driver.KeyOf(2))
	if got := load(t, snap, table); got[1] != "a" || got[2] != "b" {
		t.Errorf("the snapshot shows %v", got)
	}
	if got := load(t, ctx, table, driver.KeyOf(1), driver.KeyOf(2)); len(got) != 1 || got[1] != "later" {
		t.Errorf("the table shows %v", got)
	}
	table.Fail(errors.New("away"))
	if _, err := table.Load(ctx, nil); err == nil {
		t.Error("a read succeeds that should fail")
	}
	if _, err := table.Snapshot(ctx); err == nil {
		t.Error("a snapshot succeeds that should fail")
	}
	table.Fail(nil)
	if loads, keys := table.Reads(); loads != 3 || keys != 2 {
		t.Errorf("%d reads of %d keys", loads, keys)
	}
}

func TestTransaction(t *testing.T) {
	table := coretest.NewTable[note]("notes", "id")
	table.Put(note{1, "a"})
	failed := errors.New("no")
	err := table.Transact(t.Context(), func(ctx context.Context) error {
		if _, err := table.Insert(ctx, &note{2, "b"}, []string{"id", "text"}); err != nil {
			return err
		}
		if err := table.Update(ctx, driver.KeyOf(1), &note{1, "x"}, []string{"text"}, nil); err != nil {
			return err
		}
		if got := load(t, ctx, table); got[1] != "x" || got[2] != "b" {
			t.Errorf("inside: %v", got)
		}
		if got := load(t, context.Background(), table); len(got) != 1 || got[1] != "a" {
			t.Errorf("outside: %v", got)
		}
		return failed
	})
	if !errors.Is(err, failed) || len(table.Rows()) != 1 {
		t.Errorf("after a rollback: %v %v", err, table.Rows())
	}
	if _, err := table.Insert(t.Context(), &note{3, ""}, nil); err == nil {
		t.Error("a write outside of a transaction succeeds")
	}
}

func TestHold(t *testing.T) {
	table := coretest.NewTable[note]("notes", "id")
	release := table.Hold()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if _, err := table.Load(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a held read: %v", err)
	}
	release()
	release()
	load(t, t.Context(), table)
}

func TestSink(t *testing.T) {
	table := coretest.NewTable[note]("notes", "id")
	var sink coretest.Sink
	var src coretest.Source
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = src.Watch(ctx, &sink)
	}()
	if err := sink.Await(t.Context(), func(r *coretest.Record) bool { return r.Watching == 1 }); err != nil {
		t.Fatal(err)
	}
	if err := src.Report(t.Context(), table.Put(note{1, "a"})); err != nil {
		t.Fatal(err)
	}
	a := sink.Announce(driver.Change{Table: table.Name()})
	if r := sink.Record(); r.Open != 1 || r.Announced != 1 || len(r.Changes) != 1 {
		t.Errorf("record %+v", r)
	}
	a.Confirm(driver.Change{Table: table.Name(), Keys: []driver.Key{driver.KeyOf(7)}})
	a.Confirm()
	a.Withdraw()
	sink.Announce().Withdraw()
	sink.Lost(errors.New("blind"))
	r := sink.Record()
	if r.Open != 0 || len(r.Changes) != 2 || len(r.Losses) != 1 {
		t.Errorf("record %+v", r)
	}
	if !r.Covers(table.Name(), driver.KeyOf(7)) || r.Covers(table.Name(), driver.KeyOf(8)) || r.Covers(driver.Table{Name: "other"}, driver.KeyOf(7)) {
		t.Error("Covers is wrong")
	}
	cancel()
	<-done
}

func TestOutput(t *testing.T) {
	var out coretest.Output
	log := slog.New(slog.NewTextHandler(&out, nil))
	var writing sync.WaitGroup
	for range 10 {
		writing.Go(func() { log.Info("one", "id", "a"); log.Info("two", "id", "b"); _ = out.String() })
	}
	writing.Wait()
	if a, all := out.Lines("id=a"), out.Lines(""); len(a) != 10 || len(all) != 20 {
		t.Errorf("%d lines of %d: %s", len(a), len(all), &out)
	}
}
