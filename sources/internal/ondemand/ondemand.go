// Package ondemand makes sources look for changes on request, beside the looks that
// they make by themselves. Concurrent callers share a look.
package ondemand

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrNotWatching means that the source does not watch now, so that it cannot look. The
// caller may retry.
var ErrNotWatching = errors.New("ondemand: the source does not watch now")

// Looks are the watches of one source: several if several registries share the source,
// usually one. The zero value is ready to use. Its methods may be called from any
// goroutine.
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

// NewRun returns a watch that belongs to no Looks.
func NewRun() *Run {
	return &Run{asked: make(chan struct{}, 1), left: make(chan struct{}), progress: make(chan struct{})}
}

// Join begins a watch. The source calls it after [driver.Sink.Watching], because
// everything missed before is then read.
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

// Leave ends the watch. Waiting callers get [ErrNotWatching].
func (r *Run) Leave() {
	if r.looks != nil {
		r.looks.mu.Lock()
		delete(r.looks.runs, r)
		r.looks.mu.Unlock()
	}
	close(r.left)
}

// Asked receives when a caller waits for a look.
func (r *Run) Asked() <-chan struct{} { return r.asked }

// Begin notes that a look begins, requested or not, and returns its number.
func (r *Run) Begin() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun++
	return r.begun
}

// Done notes that the look with that number has reported all its findings. It is not
// called for a failed look: callers then wait for the next.
func (r *Run) Done(n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > r.done {
		r.done = n
		close(r.progress)
		r.progress = make(chan struct{})
	}
}

// askAgain is the time after which a waiting caller requests another look.
const askAgain = 100 * time.Millisecond

// Await requests a look, and returns when a look that began after the call is done.
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

// AskAgain puts back a request that was received but not answered.
func (r *Run) AskAgain() { r.ask() }

func (r *Run) ask() {
	select {
	case r.asked <- struct{}{}:
	default:
	}
}

// Look requests a look of every watch of the source, and returns when each has made
// one that began after the call. The error is the context's, or [ErrNotWatching].
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
