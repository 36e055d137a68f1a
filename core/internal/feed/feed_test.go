package feed

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/live"
)

// shelf is a table in memory, and its loader.
type shelf struct {
	*driver.Description[book]
	mu    sync.Mutex
	books map[driver.Key]book
	reads [][]driver.Key
	slow  time.Duration // how long a read of everything takes
}

type book struct {
	ID    int    `json:"id"`
	Title string `json:"title"`
}

var books = driver.Table{Name: "books"}

func newShelf() *shelf {
	return &shelf{Description: driver.Describe[book](books, "id"), books: make(map[driver.Key]book)}
}

func (s *shelf) put(all ...book) (keys []driver.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range all {
		s.books[driver.KeyOf(b.ID)] = b
		keys = append(keys, driver.KeyOf(b.ID))
	}
	return keys
}

func (s *shelf) Load(_ context.Context, keys []driver.Key) ([]*book, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads = append(s.reads, keys)
	if keys == nil && s.slow > 0 {
		s.mu.Unlock()
		time.Sleep(s.slow)
		s.mu.Lock()
	}
	if keys == nil {
		keys = slices.Collect(maps.Keys(s.books))
	}
	var found []*book
	for _, k := range keys {
		if b, ok := s.books[k]; ok {
			found = append(found, &b)
		}
	}
	return found, nil
}

// run runs a feed of the shelf with one binding, which has loaded when it returns.
func run(t *testing.T, s *shelf, mode Mode) (f *Feed, m *rowset.Member, stop func()) {
	t.Helper()
	host := Host{
		Limits: Limits{ReadTimeout: time.Minute, AnnounceWait: time.Second, CatchUpWait: time.Second, MaxBatchKeys: 100},
		Logger: slog.New(slog.DiscardHandler), Now: time.Now, Limiter: NewLimiter(),
		Following: func() []driver.Follower { return nil },
		Watched:   func() (bool, time.Time, error) { return true, time.Time{}, nil },
		Published: func(*live.View, *live.Event) {}, Kept: func(int) {},
		BatchBegins: func(ctx context.Context, _ Batch) (context.Context, func(Result)) {
			return ctx, func(Result) {}
		},
	}
	m = rowset.NewMember("books", nil, untyped.New[book](s), &rowset.Spec{LogEvents: 10, LogBytes: 1 << 20}, nil)
	sh, problems := m.Check()
	if len(problems) > 0 {
		t.Fatal(errors.Join(problems...))
	}
	m.Become(sh)
	f = New(books, host)
	f.SetMode(mode)
	f.Declare(m)
	f.Add(m)
	ctx, cancel := context.WithCancelCause(context.Background())
	var running sync.WaitGroup
	running.Go(func() { f.Run(ctx) })
	receipt := f.Reload(m, backlog.Reload{})
	if err := receipt.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	return f, m, func() {
		cancel(live.ErrClosed)
		running.Wait()
	}
}

// TestReportsShareReads: what is reported during a read is read together afterwards, and
// shows when those who reported it are let go.
func TestReportsShareReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.put(book{ID: 1})
		f, m, stop := run(t, s, Mode{})
		defer stop()
		if m.Len() != 1 {
			t.Fatalf("%d rows", m.Len())
		}
		before := len(s.reads)
		s.mu.Lock() // the first read waits here
		var waits sync.WaitGroup
		for id := 2; id < 12; id++ {
			receipt := Receipt{f.Report([]driver.Key{driver.KeyOf(id)}, nil)}
			waits.Go(func() {
				err := receipt.Wait(context.Background())
				if _, shown := m.Snapshot().Get(driver.KeyOf(id)); err != nil || !shown {
					t.Errorf("let go before row %d shows: %v", id, err)
				}
			})
		}
		for id := 2; id < 12; id++ {
			s.books[driver.KeyOf(id)] = book{ID: id}
		}
		s.mu.Unlock()
		waits.Wait()
		if n := len(s.reads) - before; n > 2 {
			t.Errorf("%d reads for reports that came together", n)
		}
	})
}

// TestDerivedFeedsRest: a feed whose every read is of everything reads no more often than
// its interval, and rests as long as it has read.
func TestDerivedFeedsRest(t *testing.T) {
	for _, c := range []struct{ interval, read, pause time.Duration }{
		{0, 300 * time.Millisecond, 600 * time.Millisecond},
		{10 * time.Second, 0, 10 * time.Second},
		{0, 20 * time.Second, 20*time.Second + maxRest},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newShelf()
			s.slow = c.read
			f, m, stop := run(t, s, Mode{Derived: true, Interval: c.interval, Lagging: true})
			defer stop()
			loaded := time.Now()
			begun := loaded.Add(-c.read)
			s.put(book{ID: 1})
			if err := (Receipt{f.Report(nil, nil)}).Flush(context.Background()); err != nil || m.Len() != 1 {
				t.Fatalf("%d rows, %v", m.Len(), err)
			}
			if again := time.Now().Add(-c.read).Sub(begun); again != c.pause {
				t.Errorf("interval %v, read in %v: it reads again after %v, want %v", c.interval, c.read, again, c.pause)
			}
		})
	}
}

// TestWhoeverWaitsIsLetGo: a feed that ends says why.
func TestWhoeverWaitsIsLetGo(t *testing.T) {
	s := newShelf()
	f, _, stop := run(t, s, Mode{})
	stop()
	for _, receipt := range []Receipt{{f.Report(nil, nil)}, {f.Barrier()}} {
		if err := receipt.Flush(context.Background()); !errors.Is(err, live.ErrClosed) {
			t.Errorf("waiting for a feed that has ended: %v", err)
		}
	}
}
