package feed

import (
	"context"
	"log/slog"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/audit"
	"github.com/binderyhq/bindery/core/live"
)

// Host is what a feed needs of the engine that runs it. Every field is set.
type Host struct {
	Limits
	Logger *slog.Logger
	// Now is the clock of versions and states.
	Now func() time.Time
	// Limiter bounds the comparisons of all tables of the feed's database.
	Limiter *audit.Limiter
	// Following returns the sources that follow the database's log and are watching.
	Following func() []driver.Follower
	// Watched reports whether every source that covers the feed's tables is
	// watching, since when that is so or is not, and if not, why.
	Watched func() (ok bool, since time.Time, why error)
	// Published is called after each new version, on the feed's goroutine and
	// without a lock.
	Published func(*live.View, *live.Event)
	// Kept is told by how many bytes more (or, below zero, less) the feed keeps of what
	// it has still to read, or remembers of what it has read. It is called with a lock
	// held, and must not block.
	Kept func(bytes int)
	// BatchBegins is called before a batch is read. The context that it returns
	// reaches the loader's reads; ended is called with what came of the batch.
	BatchBegins func(context.Context, Batch) (_ context.Context, ended func(Result))
}

// Limits bound what a feed reads and waits for; see the fields of the same names
// in core.Config.
type Limits struct {
	ReadTimeout, AnnounceWait, CatchUpWait time.Duration
	MaxBatchKeys                           int
}

// Batch is what a feed is about to read.
type Batch struct {
	Table    driver.Table
	Keys     int       // that were reported
	Whole    bool      // the whole table was
	Reloads  int       // bindings that are read in full by themselves
	Retry    bool      // bindings in trouble are read, in the background
	Reported time.Time // the first report; zero: nothing was reported
	// Writers are the contexts of who wrote, where sources know them, and MoreWriters
	// is how many there were beside these.
	Writers     []context.Context
	MoreWriters int
}

// Result is what came of a batch.
type Result struct {
	Err       error // nobody could be read
	Aside     int   // bindings that were set aside
	Published int   // bindings that got a new version
	// Created, Updated and Deleted count the rows in their events.
	Created, Updated, Deleted int
	Read                      time.Duration // by the statements alone
}

// result sums up what came of a batch.
func (out *outcome) result(aside int, err error) Result {
	r := Result{Err: err, Aside: aside, Read: out.took}
	for _, m := range out.steps {
		e := m.step.Edit.Event()
		if e.Len() > 0 || m.step.Anew {
			r.Published++
		}
		r.Created += len(e.Created)
		r.Updated += len(e.Updated)
		r.Deleted += len(e.Deleted)
	}
	return r
}
