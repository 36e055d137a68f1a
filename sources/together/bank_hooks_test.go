package together_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource"
)

// TestBankWithHooks holds the promise of whole transactions: whatever is
// written in this process, and in whatever way, no version that a plugin or a
// subscriber sees shows a part of it.
func TestBankWithHooks(t *testing.T) {
	each := func(t *testing.T, open func(testing.TB) (db, plain *bun.DB)) {
		for name, cfg := range map[string]bunsource.HooksConfig{"waiting": {}, "async": {Async: true}} {
			t.Run(name, func(t *testing.T) {
				db, plain := open(t)
				createBank(t, plain)
				b := openBank(t, db, bunsource.Hooks(db, cfg))
				workDay(t, db)
				b.close(t, plain)
			})
		}
	}
	t.Run("sqlite", func(t *testing.T) { each(t, openSQLite) })
	t.Run("postgres", func(t *testing.T) { each(t, openPostgres) })
}

// TestBankFindsWhatIsTorn tests the test: with a source that learns of commits
// late, and neither announces them nor catches up, versions are torn.
func TestBankFindsWhatIsTorn(t *testing.T) {
	each := func(t *testing.T, open func(testing.TB) (db, plain *bun.DB)) {
		db, plain := open(t)
		createBank(t, plain)
		b := openBank(t, db, &lateSource{HookSource: bunsource.Hooks(db)})
		// The report of the first transfer comes with the second: its rows are
		// read, and one of those of the second among them.
		for _, to := range []int64{2, 4} {
			must(t, db.RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
				return move(ctx, tx, 0, to, 100)
			}))
		}
		if b.tornVersions() == nil {
			t.Errorf("none of %d versions is torn", b.versions.Load())
		}
		for _, r := range b.replicas {
			if name := r.view.Name(); name != "all" && name != "branch" {
				continue // nobody has written to its rows, or it has read all of them
			}
			eventually(t, "the subscribers notice", func() error {
				if err := r.result(); err == nil || errors.Is(err, errBehind) {
					return errors.New("nothing noticed")
				}
				return nil
			})
		}
	}
	t.Run("sqlite", func(t *testing.T) { each(t, openSQLite) })
	t.Run("postgres", func(t *testing.T) { each(t, openPostgres) })
}

// lateSource reports each commit when the next one has been made.
type lateSource struct{ *bunsource.HookSource }

// Watch implements [driver.Source].
func (s *lateSource) Watch(ctx context.Context, sink driver.Sink) error {
	return s.HookSource.Watch(ctx, &lateSink{Sink: sink})
}

type lateSink struct {
	driver.Sink

	mu   sync.Mutex // guards held
	held []driver.Change
}

// Report implements [driver.Sink].
func (s *lateSink) Report(changes ...driver.Change) driver.Receipt {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.held
	s.held = changes
	return s.Sink.Report(held...)
}

// Announce implements [driver.Sink]: nobody hears of it.
func (s *lateSink) Announce(changes ...driver.Change) driver.Announcement {
	return &lateAnnouncement{sink: s, changes: changes}
}

type lateAnnouncement struct {
	sink    *lateSink
	changes []driver.Change
}

// Confirm implements [driver.Announcement].
func (a *lateAnnouncement) Confirm(changes ...driver.Change) driver.Receipt {
	if len(changes) == 0 {
		changes = a.changes
	}
	return a.sink.Report(changes...)
}

// Withdraw implements [driver.Announcement].
func (*lateAnnouncement) Withdraw() {}
