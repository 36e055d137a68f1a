package replication

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/signal"
	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/internal/upkeep"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// Source publishes the rows of another node.
type Source struct {
	// Replicate publishes versions to the replica until ctx is done. Any return before
	// that is a failure, and Replicate is called again with back-off.
	Replicate func(ctx context.Context, to *Replica) error
	// Reach waits until the other node shows everything that the mark covers. nil: the
	// other node does not know marks.
	Reach func(ctx context.Context, view *live.View, mark string) error
	// Await, if not nil, is called in place of Reach, and waits until the view shows
	// everything that the mark covers.
	Await func(ctx context.Context, view *live.View, mark string) error
}

// Replica is the rows of a binding that another node publishes. Only [Source].Replicate may
// call the methods that publish; the others may be called concurrently.
type Replica struct {
	// Rewinds is called before the view may show older rows than it has shown. It is set
	// before Begin, and must not block.
	Rewinds func()

	member *rowset.Member
	by     *Source
	base   *Replica         // the family or binding that it is a member of; nil: it was declared
	final  func(error) bool // of a member; see [upkeep.Lifetime]
	tried  chan struct{}    // closed when there are rows, or the first attempt has failed

	marking chan struct{} // capacity 1; full while a call of Reach waits for its mark

	publishing sync.Mutex // held while something is published

	mu     sync.Mutex // guards what follows
	host   *upkeep.Host
	cancel context.CancelCauseFunc // of the goroutine; nil: it does not run
	again  context.CancelCauseFunc // of the current call of Replicate
	done   chan struct{}           // closed when the goroutine has ended; nil: it never began
	state  status.State
	since  time.Time
	err    error

	anew  backlog.Reload // the requested reloads
	asked bool           // a reload was requested, and does not show yet
	// wanted counts requests of reloads. serving is its value when the current call of
	// Replicate began, and shown the number of requests that are answered.
	wanted, serving, shown uint64

	lineage *string // see From; nil: it was not called

	mark   string     // the mark that Replicate must reach; "": none
	marked chan error // gets the result

	news signal.Notice // signals every change of state
	once sync.Once
}

// New returns the rows of a declared binding.
func New(m *rowset.Member, by *Source) *Replica {
	return &Replica{member: m, by: by, tried: make(chan struct{}), marking: make(chan struct{}, 1)}
}

// View returns the view of the rows.
func (r *Replica) View() *live.View { return r.member.View }

// Anew reports whether Replicate must ask for all rows, whatever the view holds.
func (r *Replica) Anew() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// Mark returns the mark that Replicate must reach, "" for none.
func (r *Replica) Mark() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mark
}

// Marked says that the view shows everything that the mark covers (nil), or why that is not
// known. Only the first call for a mark counts.
func (r *Replica) Marked(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.marked != nil {
		r.marked <- err
		r.mark, r.marked = "", nil
	}
}

// From says whose versions are published from now on; "" is unknown. While it stays the
// same, later versions are newer.
func (r *Replica) From(lineage string) {
	r.mu.Lock()
	before := r.lineage
	r.lineage = &lineage
	r.mu.Unlock()
	if before != nil && (*before != lineage || lineage == "") && r.Rewinds != nil {
		r.Rewinds()
	}
}

// Edit begins the next version: from no rows with anew or after a Clear, and otherwise from
// the current ones.
func (r *Replica) Edit(print *live.Fingerprint, anew bool) *live.Edit {
	r.mu.Lock()
	anew = anew || r.asked && r.serving == r.wanted && r.anew.Forget
	r.mu.Unlock()
	return r.member.Publisher.Edit(print, anew)
}

// Describe sets the description of the rows for readers.
func (r *Replica) Describe(d live.Description) { r.member.Publisher.Describe(d) }

// Publish publishes the edit. It returns false if the view has ended.
func (r *Replica) Publish(e *live.Edit, at time.Time) bool {
	first := r.member.Snapshot() == nil
	r.publishing.Lock()
	event, ok := r.member.Publisher.Publish(e, at)
	r.publishing.Unlock()
	if !ok || first && !r.member.Admit() {
		return false
	}
	r.published(event)
	return true
}

func (r *Replica) published(event *live.Event) {
	if host := r.hostNow(); host != nil && event != nil {
		host.Published(r.member.View, event)
	}
}

// Current says that the view's rows are current.
func (r *Replica) Current() { r.set(status.Live, nil) }

// Stale says that the view's rows may be out of date, and why.
func (r *Replica) Stale(why error) { r.set(status.Stale, why) }

func (r *Replica) set(to status.State, why error) {
	if r.member.Snapshot() == nil {
		to = status.Loading
	}
	r.mu.Lock()
	host := r.host
	before, sameText := r.state, r.err != nil && why != nil && r.err.Error() == why.Error()
	if before != to || (r.err == nil) != (why == nil) {
		r.since = host.Now()
	}
	r.state, r.err = to, why
	if to == status.Live && r.asked && r.serving == r.wanted {
		r.asked, r.anew = false, backlog.Reload{}
		r.shown = r.wanted
	}
	r.mu.Unlock()
	r.news.Tell()
	switch id := slog.String("binding", r.member.ID()); {
	case why != nil && !sameText:
		host.Logger.Warn("core: binding is not kept current by its origin for now", slog.String("id", "core-origin-lost"), id, slog.Any("error", why))
	case why == nil && before == status.Stale:
		host.Logger.Info("core: binding is kept current by its origin again", slog.String("id", "core-origin-back"), id)
	}
	if to == status.Live || why != nil {
		r.once.Do(func() { close(r.tried) })
	}
}

func (r *Replica) hostNow() *upkeep.Host {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.host
}

// guard calls the source's code, and returns a panic as an error.
func guard(what string, call func() error) error {
	_, err := untyped.Guard(what, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

// Watched implements [upkeep.Lifetime]. No source is needed: the other node reports changes.
func (r *Replica) Watched() []driver.Table { return nil }

// FirstTry implements [upkeep.Lifetime].
func (r *Replica) FirstTry() <-chan struct{} { return r.tried }
