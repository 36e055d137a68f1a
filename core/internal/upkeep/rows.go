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

// ErrNotStarted means that the registry has not been started, so nothing keeps the rows
// current.
var ErrNotStarted = errors.New("core: registry has not been started")

// Rows is the rows of one binding, or of one member of a family, and keeps them current. All
// methods may be called concurrently.
type Rows interface {
	Lifetime

	// Reload has all rows read again, and returns a function that waits until they show.
	// The error is [ErrNotStarted].
	Reload(how backlog.Reload) (Wait, error)
	// Touch sets the version's time of change to now. It does not wait.
	Touch() error
	// Verify compares the rows with their origin, corrects differences, and returns them.
	Verify(ctx context.Context) (status.Drift, error)
	// Write carries out a client's write, and waits until it shows.
	Write(ctx context.Context, w live.Write, bounds writing.Bounds) (live.Row, error)
	// Explain returns why the binding holds the row with the key, or does not.
	Explain(ctx context.Context, key driver.Key) (status.Explain, error)
	// Reach waits until the rows show everything that the mark covers. text is the mark
	// as text, and own says that this node made it. The error is [driver.ErrForeign] if
	// nobody here understands the mark.
	Reach(ctx context.Context, m marks.Mark, text string, own bool) error
	// Status sets the state, its time, and its reason in st.
	Status(st *status.Binding)

	// Saved returns the current version for Restore; see [rowset.Member.Saved].
	Saved() (s live.Saved, unvalued, err error)
	// Restore serves rows that an earlier run has saved.
	Restore(s live.Saved, now time.Time) error
}

// Lifetime starts and ends the upkeep of rows. Declared ones begin with Attach; then come
// Begin, Leave and Left, each once.
type Lifetime interface {
	// Attach makes the rows of a declared binding part of a registry.
	Attach(to *Registry)
	// Derive returns the rows of a member of this family or binding. confined says that
	// an authorizer or a client narrows the member. final reports whether retries cannot
	// help against the error, and if so ends the member.
	Derive(member *rowset.Member, confined bool, final func(error) bool) (Rows, error)
	// Begin loads the rows, and keeps them current from then on.
	Begin()
	// Leave stops keeping them current. It does not wait.
	Leave()
	// Left waits, after Leave, until no goroutine works for them.
	Left(ctx context.Context) error

	// FirstTry returns a channel that is closed when the first attempt to load has ended,
	// well or not.
	FirstTry() <-chan struct{}
	// Watched returns the tables that sources must watch to keep the rows current.
	Watched() []driver.Table
}

// Wait waits until the reloaded rows show. Unless patient, it returns early if they cannot
// be read for now.
type Wait func(ctx context.Context, patient bool) error

// Host is what a registry offers to its Rows. All fields are required.
type Host struct {
	Engine *engine.Engine
	Logger *slog.Logger
	Now    func() time.Time
	// Published is called after each version that a replica publishes. Feeds call the
	// engine's, see [engine.Host].
	Published func(*live.View, *live.Event)
}

// Registry gathers declared rows during [Host.Attach].
type Registry struct {
	*Host
	fed []*Fed
}

// Attach makes the rows part of the host's registry. It gives all [Fed] ones to the engine
// at once.
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

// fedIn is the host and the feed of a Fed.
type fedIn struct {
	*Host
	feed *feed.Feed
}
