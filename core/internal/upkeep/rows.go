package upkeep

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/engine"
	"github.com/binderyhq/bindery/core/internal/feed"
	"github.com/binderyhq/bindery/core/internal/marks"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/writing"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// ErrNotStarted means that the registry does not run yet, so nothing keeps the rows.
var ErrNotStarted = errors.New("core: registry has not been started")

// Rows are the rows of one binding, or of one member of a family, and whatever keeps
// them current. All methods may be called concurrently.
type Rows interface {
	Lifetime

	// Reload has all rows read again and returns how to wait until the result shows, or
	// [ErrNotStarted].
	Reload(how backlog.Reload) (Wait, error)
	// Touch moves the version's time of change to now. It does not wait.
	Touch() error
	// Verify compares the rows with where they come from, mends what differs, and
	// returns it.
	Verify(ctx context.Context) (status.Drift, error)
	// Write carries out a client's write, and waits until it shows.
	Write(ctx context.Context, w live.Write, bounds writing.Bounds) (live.Row, error)
	// Explain says why the row with the key is held, or is not.
	Explain(ctx context.Context, key driver.Key) (status.Explain, error)
	// Reach waits until the rows show everything that the mark covers. own says that
	// this node has made it. The error is [driver.ErrForeign] when that cannot be told.
	Reach(ctx context.Context, m marks.Mark, text string, own bool) error
	// Status fills in the state of the rows, since when, and why.
	Status(st *status.Binding)

	// Saved returns the current version as Restore takes it; see [rowset.Member.Saved].
	Saved() (s live.Saved, unvalued, err error)
	// Restore has readers see rows that an earlier run has saved.
	Restore(s live.Saved, now time.Time) error
}

// Lifetime is how rows begin and cease to be kept. Attach comes first, then Begin, Leave
// and Left, each once.
type Lifetime interface {
	// Attach makes the rows of a declared binding part of a registry.
	Attach(to *Registry)
	// Derive returns the rows of a member of a family, when these are the family's.
	// confined says that an authorizer or a client narrows them. final ends the member if
	// the error is one that no further attempt mends, and returns whether it is.
	Derive(member *rowset.Member, confined bool, final func(error) bool) (Rows, error)
	// Begin has the rows loaded, and kept from then on.
	Begin()
	// Leave has them kept no longer. It does not wait.
	Leave()
	// Left waits, after Leave, until nothing runs for them.
	Left(ctx context.Context) error

	// FirstTry returns a channel that is closed when the rows have loaded, or the first
	// attempt has failed.
	FirstTry() <-chan struct{}
	// Watched returns the tables that sources must watch, so that the rows are current.
	Watched() []driver.Table
}

// Wait waits until what was asked for shows. With patient unset it does not wait for
// rows that cannot be read for now.
type Wait func(ctx context.Context, patient bool) error

// Host is what a registry offers to those who keep its rows.
type Host struct {
	Engine *engine.Engine
	Logger *slog.Logger
	Now    func() time.Time
	// Published is told of each version that another node has published here. The
	// engine tells of those of its feeds by itself.
	Published func(*live.View, *live.Event)
}

// Registry takes up rows that were declared.
type Registry struct {
	*Host
	fed []*Fed
}

// Attach makes the rows part of the host's registry. Those that feeds read are given to
// the engine all at once.
func (h *Host) Attach(all []Rows) {
	to := &Registry{Host: h}
	for _, one := range all {
		one.Attach(to)
	}
	members := make([]*rowset.Member, len(to.fed))
	for i, one := range to.fed {
		members[i] = one.member
	}
	for i, f := range h.Engine.Attach(members) {
		to.fed[i].in.Store(&fedIn{h, f})
	}
}

// fedIn is what keeps rows that are read from the database.
type fedIn struct {
	*Host
	feed *feed.Feed
}
