package jetsource_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
)

// reach waits for the mark, at most as long as given.
func reach(reg *core.Registry, b *core.Binding[item], mark string, most time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	return reg.Reach(ctx, mark, b.View)
}

// TestMarks: who has written at the origin, and shows its mark to a follower, finds the
// write there, also when it changed nothing, and while snapshots are published.
func TestMarks(t *testing.T) {
	w := newWorld(t)
	w.write(nil, 1, 5, "a")
	pub, b, _, source := w.publisher(w.server.Connect(t), beat)
	<-b.Loaded()
	reg, follower, origin := w.follower(w.server.Connect(t), nil)
	w.reaches(reg, follower, b.Version().Token)
	var writers sync.WaitGroup
	for writer := range 4 {
		writers.Go(func() {
			for i := range 20 {
				row := item{100*writer + i%3 + 100, "store", fmt.Sprint("w", i/2)} // every second one changes nothing
				if err := source.Report(t.Context(), w.table.Put(row)); err != nil {
					t.Error(err)
				}
				mark, err := pub.Mark(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if err := reach(reg, follower, mark, 60*time.Second); err != nil {
					t.Errorf("writer %d, %d: %v", writer, i, err)
				}
				if got, ok := follower.At(driver.KeyOf(row.ID)); !ok || got.Name != row.Name {
					t.Errorf("writer %d, %d: %+v, want %+v", writer, i, got, row)
				}
			}
		})
	}
	writers.Wait()
	if s := origin.Status(); s.Mismatches+s.Resyncs > 0 {
		t.Errorf("%+v", s)
	}

	member, release, err := reg.Hold(t.Context(), "shelf", core.Args{"venue": "store"})
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	_ = source.Report(t.Context(), w.table.Put(item{700, "store", "new"}))
	mark, err := pub.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := reg.Reach(ctx, mark, member); err != nil {
		t.Error(err)
	} else if _, ok := member.Snapshot().Get(driver.KeyOf(700)); !ok {
		t.Error("the member does not show the write")
	}
	own, err := reg.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := reach(reg, follower, own, 60*time.Second); !errors.Is(err, core.ErrForeignMark) {
		t.Errorf("the follower's own mark: %v", err)
	}
}

// TestMarksOfAPublisherThatIsGone: while nobody publishes, a mark is not reached. When
// another publisher goes on, with older rows, a mark that was reached is not answered with
// yes from memory.
func TestMarksOfAPublisherThatIsGone(t *testing.T) {
	w := newWorld(t)
	w.write(nil, 1, 5, "a")
	pub, b, _, source := w.publisher(w.server.Connect(t), beat)
	<-b.Loaded()
	reg, follower, _ := w.follower(w.server.Connect(t), nil)
	w.reaches(reg, follower, b.Version().Token)
	_ = source.Report(t.Context(), w.table.Put(item{6, "store", "b"}))
	mark, err := pub.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is remembered
		if err := reach(reg, follower, mark, 60*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	later, err := pub.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.stop(pub)
	if err := reach(reg, follower, later, 100*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while nobody publishes: %v", err)
	}
	w.table.Remove(driver.KeyOf(6)) // the next publisher has not seen that write
	_, b2, _, _ := w.publisher(w.server.Connect(t), beat)
	<-b2.Loaded()
	w.reaches(reg, follower, b2.Version().Token)
	for _, m := range []string{mark, later} {
		if err := reach(reg, follower, m, 60*time.Second); !errors.Is(err, core.ErrForeignMark) {
			t.Errorf("at the next publisher: %v", err)
		}
	}
}

// TestTwoWhoPublish: publishers that have each taken the other for gone agree on one, also
// while nothing changes.
func TestTwoWhoPublish(t *testing.T) {
	w := newWorld(t)
	w.write(nil, 1, 5, "a")
	conn := w.server.Connect(t)
	// Neither hears the other in time: the second begins between two beats of the first.
	_, b, one, _ := w.publisher(conn, 30*beat)
	<-b.Loaded()
	w.eventually("the first publishes", func() bool { return one.Stats().Publishing == 2 })
	_, b2, two, _ := w.publisher(conn, beat)
	<-b2.Loaded()
	w.eventually("one of them stands by", func() bool {
		return one.Stats().Failures+two.Stats().Failures >= 2 && one.Stats().Publishing+two.Stats().Publishing == 2
	})
}
