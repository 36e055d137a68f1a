package feed

import (
	"context"
	"log/slog"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/audit"
	"github.com/binderyhq/bindery/core/live"
)

// Host is what a feed needs from the engine that runs it. All fields are required.
type Host struct {
	Limits
	Logger *slog.Logger
	// Now is the clock of versions and states.
	Now func() time.Time
	// Limiter bounds the comparisons of all tables of the feed's database.
	Limiter *audit.Limiter
	// Following returns the watching sources that follow the database's log.
	Following func() []driver.Follower
	// Watched reports whether every source that covers the feed's tables is watching. since
	// is the time of the last change of that, and why the reason if one is not watching.
	Watched func() (ok bool, since time.Time, why error)
	// Published is called after each new version, on the feed's goroutine and
	// without a lock.
	Published func(*live.View, *live.Event)
	// Kept is told by how many bytes the feed's memory for reports, announcements, its
	// journal and row failures has grown (below zero: shrunk). It is called with a lock
	// held, and must not block.
	Kept func(bytes int)
	// BatchBegins is called before each batch and each background read. Loaders get the
	// context that it returns; ended is called with the result.
	BatchBegins func(context.Context, Batch) (_ context.Context, ended func(Result))
}

// Limits bound what a feed reads and waits for; see the fields of the same names
// in core.Config.
type Limits struct {
	ReadTimeout, AnnounceWait, CatchUpWait time.Duration
	MaxBatchKeys                           int
}

// Batch describes a batch, or a background read, that is about to begin.
type Batch struct {
	Table    driver.Table
	Keys     int       // reported keys
	Whole    bool      // the whole table was reported
	Reloads  int       // bindings to be read in full
	Retry    bool      // it is a background read of bindings in trouble
	Reported time.Time // time of the first report; zero: nothing was reported
	// Writers are the contexts of the writes, where sources know them. MoreWriters counts
	// further ones, beyond the first maxWriters.
	Writers     []context.Context
	MoreWriters int
}

// Result is the result of a batch or a background read.
type Result struct {
	Err       error // of a batch: no member could be read; of a background read: statements that failed
	Aside     int   // bindings set aside
	Published int   // bindings that got a new version
	// Created, Updated and Deleted count the rows in their events.
	Created, Updated, Deleted int
	Read                      time.Duration // time taken by reading, without publishing
}

// result sums up an outcome.
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
