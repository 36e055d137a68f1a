package pgsource

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// way is one way of watching.
type way struct {
	name   string
	source driver.Source
	check  func(context.Context) error // nil: only trying it tells
}

// bestRun is one call of [BestSource.Watch]. It belongs to the goroutine of that
// call.
type bestRun struct {
	src  *BestSource
	sink driver.Sink
}

// run watches in the best way, and switches to better ones as they become possible. It
// returns when the way in use fails.
func (r *bestRun) run(ctx context.Context) error {
	used, at, err := r.better(ctx, nil, len(r.src.ways))
	if err != nil {
		return err
	}
	defer func() { used.stop() }()
	for {
		looking := time.NewTimer(r.src.cfg.LookInterval)
		if at == 0 {
			looking.Stop()
		}
		select {
		case <-used.done:
			looking.Stop()
			return used.err
		case <-ctx.Done():
			looking.Stop()
			return ctx.Err()
		case <-looking.C:
		}
		found, index, err := r.better(ctx, used, at)
		switch {
		case err != nil:
			continue // the way in use notices by itself if the server is away
		case found != nil:
			used, at = found, index
		}
	}
}

// better tries the ways before the given index, the best first, beside the one in
// use. It returns the first that watches, after the one in use has ended, or nil if
// none does.
func (r *bestRun) better(ctx context.Context, used *attempt, before int) (found *attempt, index int, err error) {
	var passed []string
	for i := range r.src.ways[:before] {
		w := &r.src.ways[i]
		why := r.why(i, passed)
		if w.check != nil {
			err := ask(ctx, defaultReceiveTimeout, w.check)
			var away *awayError
			switch {
			case ctx.Err() != nil:
				return nil, 0, ctx.Err()
			case errors.As(err, &away):
				return nil, 0, fmt.Errorf("pgsource: choosing how to watch: %w", err)
			case err != nil:
				passed = append(passed, fmt.Sprintf("%s: %v", w.name, err))
				continue
			}
		}
		a := r.attempt(ctx, w, why, used)
		if i == len(r.src.ways)-1 {
			a.takeOver() // the last way: there is no other to try
			return a, i, nil
		}
		var usedDone chan struct{}
		if used != nil {
			usedDone = used.done
		}
		select {
		case <-a.took:
		case <-a.done:
		case <-usedDone:
			if !a.taking.Load() {
				a.stop()
				return nil, 0, errors.New("pgsource: the way in use has failed")
			}
			select {
			case <-a.took:
			case <-a.done:
			}
		}
		select {
		case <-a.took:
			return a, i, nil
		default:
		}
		a.stop()
		if ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
		if errors.Is(a.err, errNoTable) {
			// No way could watch that. The registry tries again.
			return nil, 0, a.err
		}
		passed = append(passed, fmt.Sprintf("%s: %v", w.name, a.err))
	}
	return nil, 0, nil
}

// why returns the reason for using a way: why the better ones do not work.
func (r *bestRun) why(index int, passed []string) string {
	if index == 0 {
		return "wal_level is logical, and the role may replicate"
	}
	return strings.Join(passed, "; ")
}

// attempt is one try to watch in a way.
type attempt struct {
	run      *bestRun
	way      *way
	why      string
	previous *attempt // the one that it replaces, nil for none

	cancel context.CancelFunc
	once   sync.Once
	taking atomic.Bool   // it is ending the previous one
	took   chan struct{} // closed when it has taken over
	done   chan struct{} // closed when its Watch has returned
	err    error         // what Watch returned, valid when done
}

// attempt begins to watch in the way, beside the one in use.
func (r *bestRun) attempt(ctx context.Context, w *way, why string, used *attempt) *attempt {
	ctx, cancel := context.WithCancel(ctx)
	a := &attempt{run: r, way: w, why: why, previous: used, cancel: cancel, took: make(chan struct{}), done: make(chan struct{})}
	var sink driver.Sink = &attemptSink{Sink: r.sink, attempt: a}
	if h, ok := r.sink.(driver.Holder); ok {
		sink = struct {
			driver.Sink
			driver.Holder
		}{sink, h}
	}
	go func() {
		defer close(a.done)
		defer cancel()
		defer func() {
			if p := recover(); p != nil {
				a.err = fmt.Errorf("pgsource: watching with source %q: panic: %v\n%s", w.source.Name(), p, debug.Stack())
			}
		}()
		a.err = w.source.Watch(ctx, sink)
	}()
	return a
}

// stop ends the attempt and waits for its end.
func (a *attempt) stop() {
	a.cancel()
	<-a.done
}

// takeOver makes this attempt the way in use and ends the previous one. The attempt
// reports whatever is committed meanwhile.
func (a *attempt) takeOver() {
	a.once.Do(func() {
		a.taking.Store(true)
		if a.previous != nil {
			a.previous.stop()
		}
		a.run.src.choose(a.way, a.why)
		close(a.took)
	})
}

// attemptSink is the sink of an attempt. It takes over when the attempt first
// watches. Before that it does not pass on that the attempt is lost.
type attemptSink struct {
	driver.Sink
	attempt *attempt
}

func (s *attemptSink) Watching() {
	s.attempt.takeOver()
	s.Sink.Watching()
}

func (s *attemptSink) Lost(err error) {
	select {
	case <-s.attempt.took:
		s.Sink.Lost(err)
	default:
	}
}
