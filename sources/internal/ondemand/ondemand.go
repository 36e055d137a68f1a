// Package ondemand has sources look for changes when somebody asks, beside whenever
// they look by themselves. Those who ask at the same time share a look.
package ondemand

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrNotWatching means that the source does not watch, so that nobody can look. It is
// worth asking again.
var ErrNotWatching = errors.New("ondemand: the source does not watch now")

// Looks are the watches of one source: as a rule one, several where several
// registries share the source. The zero value is ready to use. Its methods may be
// called from any goroutine.
type Looks struct {
	mu   sync.Mutex
	runs map[*Run]struct{} // guarded by mu
}

// Run is one watch, from Join to Leave. Its methods may be called from any goroutine,
// but looks do not overlap.
type Run struct {
	looks *Looks
	asked chan struct{} // capacity 1
	left  chan struct{} // closed by Leave

	mu       sync.Mutex    // guards what follows
	begun    uint64        // looks ever begun
	done     uint64        // the last one that has succeeded
	progress chan struct{} // closed when done moves, then replaced
}

// NewRun returns a watch of its own, that is none of a Looks.
func NewRun() *Run {
	return &Run{asked: make(chan struct{}, 1), left: make(chan struct{}), progress: make(chan struct{})}
}

// Join begins a watch. The source joins when what it has missed before will be read:
// once [driver.Sink.Watching] has been called.
func (l *Looks) Join() *Run {
	r := NewRun()
	r.looks = l
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.runs == nil {
		l.runs = make(map[*Run]struct{})
	}
	l.runs[r] = struct{}{}
	return r
}

// Leave ends the watch. Nobody may look any more.
func (r *Run) Leave() {
	if r.looks != nil {
		r.looks.mu.Lock()
		delete(r.looks.runs, r)
		r.looks.mu.Unlock()
	}
	close(r.left)
}

// Asked receives when somebody waits for a look.
func (r *Run) Asked() <-chan struct{} { return r.asked }

// Begin says that a look begins, asked for or not, and returns its number.
func (r *Run) Begin() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun++
	return r.begun
}

// Done says that the look of that number has reported all that it found. One that
// has failed is not done, and those who wait wait for the next.
func (r *Run) Done(n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > r.done {
		r.done = n
		close(r.progress)
		r.progress = make(chan struct{})
	}
}

// askAgain is how long after a question another look is asked for, as long as
// somebody waits.
const askAgain = 100 * time.Millisecond

// Await has the run look, and returns when a look is done that began after the call.
// The error is the context's, or [ErrNotWatching].
func (r *Run) Await(ctx context.Context) error {
	r.mu.Lock()
	wanted := r.begun + 1
	r.mu.Unlock()
	r.ask()
	again := time.NewTicker(askAgain) // a look may fail
	defer again.Stop()
	for {
		r.mu.Lock()
		done, progress := r.done, r.progress
		r.mu.Unlock()
		if done >= wanted {
			return nil
		}
		select {
		case <-progress:
		case <-again.C:
			r.ask()
		case <-r.left:
			return ErrNotWatching
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// AskAgain gives back a question that was received and not answered.
func (r *Run) AskAgain() { r.ask() }

func (r *Run) ask() {
	select {
	case r.asked <- struct{}{}:
	default:
	}
}

// Look has every watch of the source look, and returns when each has done so since
// the call. The error is the context's, or [ErrNotWatching].
func (l *Looks) Look(ctx context.Context) error {
	l.mu.Lock()
	runs := make([]*Run, 0, len(l.runs))
	for r := range l.runs {
		runs = append(runs, r)
		r.ask() // so that they look at the same time
	}
	l.mu.Unlock()
	if len(runs) == 0 {
		return ErrNotWatching
	}
	for _, r := range runs {
		if err := r.Await(ctx); err != nil {
			return err
		}
	}
	return nil
}
