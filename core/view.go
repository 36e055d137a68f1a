package core

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/feed"
	"github.com/binderyhq/bindery/core/internal/marks"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/internal/writing"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// publisher is a binding as the registry holds it: its rows, the feed that keeps
// them, and what it was declared as.
type publisher struct {
	*rowset.Member
	family *family                   // what it was made from
	feed   atomic.Pointer[feed.Feed] // set when it is registered; never of a replica
	// replica keeps the rows in the place of a feed; nil: a feed does.
	replica *Replica

	account account // what it keeps
	reached marks.Reached
	id      string // of a family's member; see memberID
}

func newPublisher(name string, params live.Params, r untyped.Loader, s *rowset.Spec) *publisher {
	v := &publisher{}
	v.account.v = v
	v.Member = rowset.NewMember(name, params, r, s, &v.account)
	return v
}

// Resync reads all rows again and returns when the result shows. Subscribers
// get the events that the difference amounts to, and nothing when there is
// none. It returns the context's error when that ends first (the reading goes
// on), [ErrNotStarted], [live.ErrRemoved] or [live.ErrClosed].
func (b *Binding[T]) Resync(ctx context.Context) error { return b.own.reload(ctx, false) }

// Clear forgets everything held (rows, encodings, log) and reads it anew. Until
// that is done readers have the old rows; then subscribers get a sync. The
// errors are those of [Binding.Resync].
func (b *Binding[T]) Clear(ctx context.Context) error { return b.own.reload(ctx, true) }

// Touch moves the version's time of change to now, and tells subscribers that
// what they have is current. The token stays, since the content does. It does
// not wait until that shows, so plugins may call it while they observe a
// version; [Registry.Flush] does. It returns [ErrNotStarted],
// [live.ErrNotLoaded], [live.ErrRemoved] or [live.ErrClosed].
func (b *Binding[T]) Touch() error { return b.own.touch() }

// Verify compares the binding with one state of the database, beside everything
// else, and returns how they differ. What has been reported or announced, and does
// not show yet, is no difference. What differs is mended, with the events that it
// amounts to; so are rows beyond a [Limit] that nobody sees, and those are no
// difference. A binding whose sources see everything never drifts; see also
// [status.Source], which tells what each source found first.
//
// The errors are those of [Binding.Resync]. It also fails when changes of the
// whole table were under way at each of several attempts.
func (b *Binding[T]) Verify(ctx context.Context) (status.Drift, error) { return b.own.compare(ctx) }

// Status returns what is known about the binding.
func (b *Binding[T]) Status() status.Binding { return b.own.status() }

// Write carries out a client's write, in one transaction: the row must be part
// of the binding, meet the precondition, and, unless rows may leave, be part of
// the binding afterwards; otherwise nothing is written. It returns, after the
// binding shows it (unless that is declared to lag, see [Tuning].MinInterval), the row
// as the database has it; the zero Row after Delete.
//
// Whether the row is one that may be written is settled before any lock is
// waited for, and as far as the values are known also before the database may
// object to them: who asks for what lies outside learns nothing of it.
//
// The errors that a client should be told are [live.ErrNotWritable],
// [live.ErrNoRow], [live.ErrPrecondition], [driver.ErrRefused],
// [*driver.InvalidError] and [*live.MalformedError]; every other one is the
// database's or the context's. A context that ends after the commit is no error.
func (b *Binding[T]) Write(ctx context.Context, w live.Write) (live.Row, error) {
	return b.own.write(ctx, w, writing.Bounds{})
}

func (v *publisher) reload(ctx context.Context, forget bool) error {
	if err := v.reread(ctx, backlog.Reload{Forget: forget}); err != nil {
		return fmt.Errorf("core: reading binding %q again: %w", v.Name(), err)
	}
	return nil
}

// reread has all rows read and waits until the result shows.
func (v *publisher) reread(ctx context.Context, how backlog.Reload) error {
	if v.replica != nil {
		return v.replica.restart(ctx, how)
	}
	f := v.feed.Load()
	if f == nil {
		return ErrNotStarted
	}
	err := f.Reload(v.Member, how).Flush(ctx)
	if err == nil { // a binding in trouble was not waited for
		err = v.whenWell(ctx)
	}
	if why := v.Err(); why != nil {
		return why // then it was not read
	}
	return err
}

// whenWell waits until the binding has loaded and is in no trouble. It returns why
// it has ended, or the context's error.
func (v *publisher) whenWell(ctx context.Context) error {
	f := v.feed.Load()
	for {
		trouble, why := f.Trouble(v.Member)
		if trouble == nil {
			break
		}
		select {
		case <-trouble:
		case <-v.Done():
			return v.Err()
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), why)
		}
	}
	select {
	case <-v.Loaded():
		return v.Err()
	case <-v.Done():
		return v.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (v *publisher) touch() error {
	f := v.feed.Load()
	var err error
	switch {
	case v.replica != nil:
		return v.replica.touch()
	case f == nil:
		err = ErrNotStarted
	case v.Snapshot() == nil:
		err = live.ErrNotLoaded
	default:
		err = v.Err()
	}
	if err != nil {
		return fmt.Errorf("core: binding %q: %w", v.Name(), err)
	}
	f.Touch(v.Member)
	return nil
}

func (v *publisher) status() status.Binding {
	counts := v.Counts()
	st := status.Binding{
		Name: v.Name(), Params: v.Params(), Scoped: v.Scope != nil, Table: v.Schema().Table,
		Subscribers: counts.Subscribers,
		Events:      counts.Events, Syncs: counts.Syncs, Merges: counts.Merges,
	}
	if v.Scope != nil {
		st.Scope = v.Scope.String()
	}
	if s := v.Snapshot(); s != nil {
		st.Version, st.Rows, st.Bytes = s.Version(), s.Len(), s.Bytes()
	}
	if f := v.feed.Load(); f != nil {
		st.State, st.Since, st.Err = f.State(v.Member)
		st.Trouble, st.Troubled = f.TroubledRows(v.Member)
	} else if v.replica != nil {
		st.State, st.Since, st.Err = v.replica.stateNow()
	}
	if st.Version.Seq > 0 {
		st.Age = max(0, v.now().Sub(st.Version.Modified))
	}
	if ended := v.Err(); ended != nil {
		st.State, st.Err = status.Ended, ended
	}
	return st
}

func (v *publisher) logger() *slog.Logger {
	if s := v.family.shared.Load(); s != nil {
		return s.cfg.Logger
	}
	return slog.Default()
}

// now returns the time by the registry's clock.
func (v *publisher) now() time.Time {
	if s := v.family.shared.Load(); s != nil {
		return s.cfg.Now()
	}
	return time.Now()
}
