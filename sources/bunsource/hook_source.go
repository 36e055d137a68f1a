package bunsource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/internal/fanout"
)

// DefaultWaitTimeout is how long a write waits for its bindings unless
// [HooksConfig] says otherwise.
const DefaultWaitTimeout = 2 * time.Second

// HooksConfig configures [Hooks]. The zero value is what most programs want.
type HooksConfig struct {
	// Async lets writes return without waiting for the affected bindings. By
	// default they wait, so that a program that has written through Bun reads its
	// own write.
	Async bool

	// WaitTimeout bounds that wait, as the write's context does. The write itself
	// has succeeded by then: after the timeout it returns without an error, and
	// the source logs a warning. 0 means [DefaultWaitTimeout]; a negative value is
	// an error.
	WaitTimeout time.Duration

	// Database names the database, as [Named] does, for a *bun.DB that [Open] has
	// not made. Call Hooks with it before the first Bind over the *bun.DB.
	Database string

	// Logger gets the warnings. nil means [slog.Default].
	Logger *slog.Logger
}

// HookSource reports what this process writes through a *bun.DB. It sees
// every table of the database; see the package's documentation for what it
// cannot see.
type HookSource struct {
	tracker *tracker
	db      *bun.DB
	cfg     HooksConfig
	err     error // the mistakes in the configuration

	count  atomic.Uint64 // the waits that ended too early
	streak atomic.Bool   // the last one did

	unwrapped sync.Once // warns that the driver is not wrapped
}

var (
	_ driver.Source    = (*HookSource)(nil)
	_ driver.Scoper    = (*HookSource)(nil)
	_ driver.Validator = (*HookSource)(nil)
)

// Hooks returns a source that reports writes through db, and through the *sql.DB
// inside it if that has a wrapped driver ([Open], [OpenConnector],
// [WrapConnector]). It takes at most one config.
//
// Hooks adds a query hook to a *bun.DB that was made elsewhere, which should not be
// in use yet. Without the driver wrapper the hook alone has limits, see the
// package's documentation; the source logs a warning when it begins to watch.
func Hooks(db *bun.DB, cfg ...HooksConfig) *HookSource {
	s := &HookSource{tracker: trackerOf(db.DB), db: db}
	if len(cfg) > 1 {
		s.err = fmt.Errorf("bunsource: watching database %q: Hooks takes one HooksConfig, got %d", s.tracker.Database(), len(cfg))
	} else if len(cfg) == 1 {
		s.cfg = cfg[0]
	}
	s.check()
	s.tracker.SetDialect(db.Dialect())
	s.tracker.addHook(db)
	return s
}

func (s *HookSource) check() {
	if s.cfg.WaitTimeout == 0 {
		s.cfg.WaitTimeout = DefaultWaitTimeout
	}
	if s.cfg.Logger == nil {
		s.cfg.Logger = slog.Default()
	}
	if s.cfg.WaitTimeout < 0 {
		s.err = errors.Join(s.err, fmt.Errorf("bunsource: watching database %q: WaitTimeout is %v, less than 0",
			s.tracker.Database(), s.cfg.WaitTimeout))
	}
	if name := s.cfg.Database; name != "" && !s.tracker.SetDatabase(name) {
		s.err = errors.Join(s.err, fmt.Errorf("bunsource: naming database %q: it is in use as %q already; name it before the first Bind",
			name, s.tracker.Database()))
	}
}

// Name implements [driver.Source].
func (s *HookSource) Name() string { return "bunsource" }

// Scope implements [driver.Scoper]: the hooks see every table of the database.
func (s *HookSource) Scope() driver.Scope { return driver.Scope{Database: s.tracker.Database()} }

// Validate implements [driver.Validator].
func (s *HookSource) Validate() error { return s.err }

// Watch implements [driver.Source]. Its only error is a permanent one, for a wrong
// configuration.
func (s *HookSource) Watch(ctx context.Context, sink driver.Sink) error {
	if s.err != nil {
		return driver.Permanent(s.err)
	}
	if !s.tracker.Wrapped() {
		s.unwrapped.Do(func() {
			s.cfg.Logger.WarnContext(ctx, "bunsource: the database's driver is not wrapped: prepared statements, what goes through the *sql.DB, triggers and cascades are not seen; "+
				"open it by bunsource.Open, OpenConnector or WrapConnector, or let another source watch as well", slog.String("id", "bunsource-unwrapped"), slog.String("database", s.tracker.Database()))
		})
	}
	a := fanout.NewAttachment(sink)
	a.Async, a.Wait = s.cfg.Async, s.wait
	s.tracker.Attach(a)
	defer s.tracker.Detach(a)
	s.learnWriters(ctx)
	sink.Watching()
	var learning sync.WaitGroup
	learning.Go(func() { s.watchWriters(ctx) })
	a.Run(ctx)
	learning.Wait()
	return nil
}

// Timeouts returns how many writes have returned before the affected bindings had
// caught up. It may be called at any time, from any goroutine.
func (s *HookSource) Timeouts() uint64 { return s.count.Load() }

// wait waits for a receipt, for at most WaitTimeout.
func (s *HookSource) wait(ctx context.Context, r driver.Receipt) {
	bounded, cancel := context.WithTimeout(ctx, s.cfg.WaitTimeout)
	defer cancel()
	err := r.Wait(bounded)
	switch {
	case err == nil:
		s.streak.Store(false)
	case bounded.Err() == nil || ctx.Err() != nil:
		// The registry has been shut down, or the writer does not wait any longer.
	default:
		s.count.Add(1)
		if !s.streak.Swap(true) {
			s.cfg.Logger.WarnContext(ctx, "bunsource: a write returned before its bindings had caught up", slog.String("id", "bunsource-late-wait"),
				slog.String("database", s.tracker.Database()), slog.Duration("waited", s.cfg.WaitTimeout))
		}
	}
}
