package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/status"
)

// sourceRun runs one source: it calls Watch, again after failures, and keeps
// what is known about its state.
type sourceRun struct {
	eng    *engine
	source driver.Source
	scope  driver.Scoped // nil: all tables

	marks   driver.Marker   // nil: no other node understands it
	looks   driver.Looker   // nil: it cannot be asked
	turned  notice          // it has begun or ceased to watch
	follows driver.Follower // nil: it announces, or promises less

	reports  atomic.Uint64
	reporter *backlog.Reporter
	done     chan struct{} // closed when Watch has returned for good

	mu       sync.Mutex // guards what follows
	watching bool
	sees     bool // watching, and what it had missed before will be read
	since    time.Time
	err      error         // why it is not watching
	failures uint64        // returns of Watch and calls of Lost
	settled  chan struct{} // closed when it first watched or failed
	once     sync.Once
}

func newSourceRun(eng *engine, s driver.Source) *sourceRun {
	scope, _ := s.(driver.Scoped)
	follows, _ := s.(driver.Follower)
	marks, _ := s.(driver.Marker)
	looks, _ := s.(driver.Looker)
	return &sourceRun{
		reporter: &backlog.Reporter{},
		eng:      eng, source: s, scope: scope, follows: follows, marks: marks, looks: looks, since: eng.host.Now(),
		err: errors.New("not watching yet"), settled: make(chan struct{}), done: make(chan struct{}),
	}
}

func (r *sourceRun) covers(t driver.Table) bool {
	return r.scope == nil || r.scope.Scope().Covers(t)
}

func (r *sourceRun) coversAny(tables []driver.Table) bool {
	return slices.ContainsFunc(tables, r.covers)
}

func (r *sourceRun) state() (watching bool, since time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.watching, r.since, r.err
}

func (r *sourceRun) status() status.Source {
	r.mu.Lock()
	defer r.mu.Unlock()
	return status.Source{
		Name: r.source.Name(), Watching: r.watching, Since: r.since, Err: r.err,
		Reports: r.reports.Load(), Failures: r.failures, Found: r.reporter.Found.Load(),
	}
}

// setWatching has what was read before read again.
func (r *sourceRun) setWatching() {
	r.mu.Lock()
	again := !r.watching && r.failures > 0
	if !r.watching {
		r.since = r.eng.host.Now()
	}
	r.watching, r.err = true, nil
	failures := r.failures
	r.mu.Unlock()
	if again {
		r.eng.host.Logger.Info("core: source sees changes again", slog.String("source", r.source.Name()))
	}
	routes := r.eng.routes.Load()
	for _, f := range routes.order {
		if r.coversAny(routes.hears(f.table)) {
			f.mend(r.reporter)
		}
	}
	r.mu.Lock()
	r.sees = r.sees || r.failures == failures // else it was lost meanwhile
	r.mu.Unlock()
	r.turned.tell()
	r.settle()
}

func (r *sourceRun) setLost(err error) {
	if err == nil {
		err = errors.New("lost for an unknown reason")
	}
	r.mu.Lock()
	was, before := r.watching, r.err
	if was {
		r.since = r.eng.host.Now()
	}
	r.watching, r.sees, r.err = false, false, err
	r.failures++
	r.mu.Unlock()
	if was || before == nil || before.Error() != err.Error() {
		r.eng.host.Logger.Warn("core: source does not see changes for now",
			slog.String("source", r.source.Name()), slog.Any("error", err))
	}
	r.settle()
}

func (r *sourceRun) settle() { r.once.Do(func() { close(r.settled) }) }

// run calls Watch until ctx is done.
func (r *sourceRun) run(ctx context.Context) {
	defer close(r.done)
	backoff := backlog.NewBackoff()
	for {
		begun := time.Now()
		err := r.watch(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("it stopped watching without saying why")
		}
		err = fmt.Errorf("core: watching with source %q: %w", r.source.Name(), err)
		r.setLost(err)
		if driver.IsPermanent(err) {
			r.eng.host.Logger.Error("core: source cannot watch and is given up",
				slog.String("source", r.source.Name()), slog.Any("error", err))
			return
		}
		if time.Since(begun) > max(backoff.Wait, time.Second) {
			backoff.Reset() // it was well for longer than it would be kept waiting
		}
		timer := time.NewTimer(backoff.Next())
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

func (r *sourceRun) watch(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	s := &sink{run: r}
	defer s.end()
	return r.source.Watch(ctx, s)
}
