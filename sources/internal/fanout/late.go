package fanout

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// lateSteps are the times between the reports of a change whose commit cannot be
// observed: the server may still make a commit whose answer was lost, and only a
// wrapped driver shows when the rows of a writing db.Query are closed.
var lateSteps = [...]time.Duration{100 * time.Millisecond, time.Second, 10 * time.Second, time.Minute}

// late holds such changes of one sink. A new change restarts the steps for all.
type late struct {
	mu     sync.Mutex
	tables []driver.Table
	wake   chan struct{} // holds one token when tables were added
}

// add adds changes, as whole tables: they are rare.
func (l *late) add(changes []driver.Change) {
	l.mu.Lock()
	for _, c := range changes {
		if !slices.Contains(l.tables, c.Table) {
			l.tables = append(l.tables, c.Table)
		}
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Run reports the attachment's late changes until ctx is done.
func (a *Attachment) Run(ctx context.Context) {
	l := &a.late
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	timer.Stop()
	for step := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
			step = 0
			timer.Reset(lateSteps[step])
		case <-timer.C:
			if changes := l.take(step == len(lateSteps)-1); len(changes) > 0 {
				a.Sink.Report(changes...)
			}
			if step++; step < len(lateSteps) {
				timer.Reset(lateSteps[step])
			}
		}
	}
}

// take returns the changes, and forgets them after the last step.
func (l *late) take(last bool) []driver.Change {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]driver.Change, len(l.tables))
	for i, t := range l.tables {
		out[i].Table = t
	}
	if last && len(l.wake) == 0 {
		l.tables = nil
	}
	return out
}
