package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/signal"
	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// Replicator is implemented by a loader whose rows are a binding of another node: it
// publishes whole versions as that node has them, and no feed reads it. Its bindings
// are read-only, and no source watches them. Their filter declares a family's
// parameters and nothing else: which rows there are is what the other node says.
type Replicator interface {
	// Replicate publishes the versions of one binding, or of one member of a family,
	// until ctx is done. It runs on a goroutine of its own for each. A return before
	// ctx is done is a failure: the binding is stale, and Replicate is called again
	// after a while that grows (0.1 to 30 seconds, with jitter). For a member an
	// [*ArgumentError] or a [*DeniedError] is final: the member ends with it.
	Replicate(ctx context.Context, to *Replica) error
}

// MarkReplicator is implemented by a [Replicator] whose node knows about marks. Without
// it every mark is foreign to the bindings of the loader.
type MarkReplicator interface {
	// Reach waits until the other node's binding shows everything that the mark
	// covers. The context bounds the wait. [ErrForeignMark] says that the node cannot
	// tell. Then Replicate is called anew, with the mark in [Replica.Mark], so that
	// what it publishes from then on is at least that.
	Reach(ctx context.Context, view *live.View, mark string) error
}

// Replica is a binding, or a member of a family, that a [Replicator] publishes to. Its
// methods are for the goroutine of Replicate.
type Replica struct {
	v     *publisher
	by    Replicator
	tried chan struct{} // closed when there are rows, or the first attempt has failed

	marking chan struct{} // holds one while somebody leads it up to a mark

	publishing sync.Mutex // held while the view is written to

	mu     sync.Mutex // guards what follows
	start  *shared
	cancel context.CancelCauseFunc // of the goroutine; nil: it does not run
	again  context.CancelCauseFunc // of the call of Replicate
	done   chan struct{}           // closed when the goroutine has ended; nil: it never began
	anew   backlog.Reload          // what the next call is asked for
	asked  bool                    // somebody has asked
	state  status.State
	since  time.Time
	err    error
	// wanted counts how often somebody has asked, serving is what it was when the
	// present call began, and rounds what it was for the last call that came to show.
	wanted, serving, rounds uint64

	mark   string     // that the present call is to lead up to; "" for none
	marked chan error // told how that went

	news signal.Notice // tells of every change of state
	once sync.Once
}

func newReplica(v *publisher, by Replicator) *Replica {
	return &Replica{v: v, by: by, tried: make(chan struct{}), marking: make(chan struct{}, 1)}
}

// notForReplicas returns what a declaration says that another node decides.
func notForReplicas(s *settings) (errs []error) {
	for what, said := range map[string]bool{
		"a filter (core.Where)": s.Where != nil || s.Filter != nil && !s.Family,
		"an order":              len(s.Order) > 0,
		"a limit":               s.Limit > 0,
		"what clients see":      s.Serializer != nil || s.Columns != nil,
		"tables":                len(s.Depends) > 0,
	} {
		if said {
			errs = append(errs, fmt.Errorf("it declares %s, which the node that it follows decides", what))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errs
}

// errAgain ends a call of Replicate that somebody wants to begin anew.
var errAgain = errors.New("core: the rows are asked for anew")

// View returns the view that is published to: its name, its parameters, and the
// version that it holds.
func (r *Replica) View() *live.View { return r.v.View }

// Anew reports whether all rows are to be asked for, whatever the view holds,
// because somebody has called Resync or Clear.
func (r *Replica) Anew() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// Mark returns the mark that the present call is to lead up to, "" for none: the other
// node is asked for what comes from there on, and [Replica.Marked] is called when that
// shows, or with the reason why not.
func (r *Replica) Mark() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mark
}

// Marked says that what the view holds is at least what the mark covers, or, with an
// error, that it cannot be told. Only the first call for a mark counts.
func (r *Replica) Marked(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.marked != nil {
		r.marked <- err
		r.mark, r.marked = "", nil
	}
}

// reach waits until the binding shows everything that the mark covers.
func (r *Replica) reach(ctx context.Context, mark string) error {
	by, ok := r.by.(MarkReplicator)
	if !ok {
		return driver.ErrForeign
	}
	if _, err := untyped.Guard("Reach", func() (struct{}, error) { return struct{}{}, by.Reach(ctx, r.v.View, mark) }); err != nil {
		if errors.Is(err, ErrForeignMark) {
			return driver.ErrForeign
		}
		return err
	}
	// What is under way to here may be from before. So it is begun anew, from the
	// version that is held.
	select {
	case r.marking <- struct{}{}:
	case <-r.v.Done():
		return r.v.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.marking }()
	marked := make(chan error, 1)
	r.mu.Lock()
	if r.cancel == nil {
		r.mu.Unlock()
		return ErrNotStarted
	}
	r.mark, r.marked = mark, marked
	again := r.again
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.mark, r.marked = "", nil
	}()
	if again != nil {
		again(errAgain)
	}
	r.news.Tell()
	select {
	case err := <-marked:
		if errors.Is(err, ErrForeignMark) {
			return driver.ErrForeign
		}
		return err
	case <-r.v.Done():
		return r.v.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Edit begins the way to the next version, as [live.Publisher.Edit] does. After a
// Clear it begins with nothing.
func (r *Replica) Edit(print *live.Fingerprint, anew bool) *live.Edit {
	r.mu.Lock()
	anew = anew || r.asked && r.serving == r.wanted && r.anew.Forget
	r.mu.Unlock()
	return r.v.Publisher.Edit(print, anew)
}

// Describe says what readers are told about the rows, before the first Publish.
func (r *Replica) Describe(d live.Description) { r.v.Publisher.Describe(d) }

// Publish makes the edit what readers see, as [live.Publisher.Publish] does. Current,
// or Stale, is called after it. It returns false when the binding has ended.
func (r *Replica) Publish(e *live.Edit, at time.Time) bool {
	first := r.v.Snapshot() == nil
	r.publishing.Lock()
	event, ok := r.v.Publisher.Publish(e, at)
	r.publishing.Unlock()
	if !ok || first && !r.v.Admit() {
		return false
	}
	if s := r.shared(); s != nil && event != nil {
		s.observers.onPublished(r.v.View, event)
	}
	return true
}

// Current says that what the view holds is current.
func (r *Replica) Current() { r.set(status.Live, nil) }

// Stale says that what the view holds may be out of date, and why.
func (r *Replica) Stale(why error) { r.set(status.Stale, why) }

func (r *Replica) set(to status.State, why error) {
	if r.v.Snapshot() == nil {
		to = status.Loading
	}
	now := r.v.now()
	r.mu.Lock()
	before, sameText := r.state, r.err != nil && why != nil && r.err.Error() == why.Error()
	if before != to || (r.err == nil) != (why == nil) {
		r.since = now
	}
	r.state, r.err = to, why
	if to == status.Live && r.asked && r.serving == r.wanted {
		r.asked, r.anew = false, backlog.Reload{}
		r.rounds = r.wanted
	}
	r.mu.Unlock()
	r.news.Tell()
	switch log := r.v.logger(); {
	case why != nil && !sameText:
		log.Warn("core: binding is not kept current by its origin for now", slog.String("id", "core-origin-lost"), slog.String("binding", r.v.ID()), slog.Any("error", why))
	case why == nil && before == status.Stale:
		log.Info("core: binding is kept current by its origin again", slog.String("id", "core-origin-back"), slog.String("binding", r.v.ID()))
	}
	if to == status.Live || why != nil {
		r.once.Do(func() { close(r.tried) })
	}
}

func (r *Replica) shared() *shared {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.start
}

// attach makes the replica part of a registry.
func (r *Replica) attach(s *shared) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.start, r.since = s, s.cfg.Now()
}

// begin lets it run, until leave or the registry's end.
func (r *Replica) begin() {
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan struct{})
	r.mu.Lock()
	s := r.start
	r.cancel, r.done = cancel, done
	r.mu.Unlock()
	running := s.eng.Background(func(all context.Context) {
		defer close(done)
		defer context.AfterFunc(all, func() { cancel(context.Cause(all)) })()
		r.run(ctx)
	})
	if !running {
		close(done)
	}
}

// leave ends it, and returns without waiting.
func (r *Replica) leave() {
	r.mu.Lock()
	cancel := r.cancel
	r.mu.Unlock()
	if cancel != nil {
		cancel(live.ErrRemoved)
	}
}

// left waits until it has ended, or for ctx.
func (r *Replica) left(ctx context.Context) error {
	r.mu.Lock()
	done := r.done
	r.mu.Unlock()
	if done == nil {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run calls Replicate until ctx is done.
func (r *Replica) run(ctx context.Context) {
	backoff := backlog.NewBackoff()
	for ctx.Err() == nil {
		call, again := context.WithCancelCause(ctx)
		r.mu.Lock()
		r.again, r.serving = again, r.wanted
		r.mu.Unlock()
		begun := time.Now()
		_, err := untyped.Guard("Replicate", func() (struct{}, error) { return struct{}{}, r.by.Replicate(call, r) })
		asked := context.Cause(call) == errAgain //nolint:errorlint // it is this one or another's
		again(nil)
		if ctx.Err() != nil {
			return
		}
		if asked {
			continue
		}
		if err == nil {
			err = errors.New("it stopped without saying why")
		}
		if r.refused(err) {
			return
		}
		r.Stale(fmt.Errorf("core: following binding %q: %w", r.v.ID(), err))
		if time.Since(begun) > max(backoff.Wait, time.Second) {
			backoff.Reset() // it was well for longer than it would be kept waiting
		}
		timer := time.NewTimer(backoff.Next())
		news := r.news.Next()
		for waiting := true; waiting; {
			select {
			case <-timer.C:
				waiting = false
			case <-ctx.Done():
				waiting = false
			case <-news:
				news = r.news.Next()
				waiting = !r.Anew() && r.Mark() == ""
			}
		}
		timer.Stop()
	}
}

// refused ends a member that the origin does not have, or does not show.
func (r *Replica) refused(err error) bool {
	var argument *ArgumentError
	var denied *DeniedError
	if r.v.Base == nil || !errors.As(err, &argument) && !errors.As(err, &denied) {
		return false
	}
	r.v.family.members.Remove(r.v.id)
	r.v.end(err)
	if s := r.shared(); s != nil {
		s.came.Tell()
	}
	return true
}

// restart has all rows asked for, and waits until they show.
func (r *Replica) restart(ctx context.Context, how backlog.Reload) error {
	mine, err := r.ask(how)
	if err != nil {
		return err
	}
	return r.await(ctx, mine, true)
}

// ask has all rows asked for. It returns what await is to wait for.
func (r *Replica) ask(how backlog.Reload) (uint64, error) {
	r.mu.Lock()
	if r.start == nil || r.cancel == nil {
		r.mu.Unlock()
		return 0, ErrNotStarted
	}
	r.asked, r.anew = true, r.anew.And(how)
	r.wanted++
	mine, again := r.wanted, r.again
	r.mu.Unlock()
	if again != nil {
		again(errAgain)
	}
	r.news.Tell()
	return mine, nil
}

// await waits until what was asked for shows. With patient unset an origin that is
// away is not waited for.
func (r *Replica) await(ctx context.Context, mine uint64, patient bool) error {
	for {
		news := r.news.Next()
		r.mu.Lock()
		there, why := r.rounds >= mine, r.err
		r.mu.Unlock()
		if there || why != nil && !patient {
			return nil
		}
		select {
		case <-news:
		case <-r.v.Done():
			return r.v.Err()
		case <-ctx.Done():
			if why != nil {
				return fmt.Errorf("%w: %w", ctx.Err(), why)
			}
			return ctx.Err()
		}
	}
}

func (r *Replica) touch() error {
	r.publishing.Lock()
	event, err := r.v.Publisher.Touch(r.v.now())
	r.publishing.Unlock()
	if s := r.shared(); err == nil && s != nil {
		s.observers.onPublished(r.v.View, event)
	}
	return err
}

// stateNow returns the state of the binding, since when, and why.
func (r *Replica) stateNow() (status.State, time.Time, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state, r.since, r.err
}

// explain says of a row what a follower knows: its origin has it, or has not.
func (r *Replica) explain(key driver.Key) status.Explain {
	out := status.Explain{}
	if s := r.v.Snapshot(); s != nil {
		_, out.In = s.Get(key)
	}
	row := status.Reason{Row: status.Absent, Detail: "in the binding that is followed"}
	if out.In {
		row.Row, row.Holds = status.Present, true
	}
	out.Why = []status.Reason{row}
	if state, _, err := r.stateNow(); state != status.Live {
		reason := status.Reason{Binding: state.String()}
		if err != nil {
			reason.Detail = err.Error()
		}
		out.Why = append(out.Why, reason)
	}
	return out
}
