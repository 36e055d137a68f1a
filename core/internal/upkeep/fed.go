package upkeep

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/marks"
	"github.com/binderyhq/bindery/core/internal/onerow"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/writing"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// Fed is the rows of a binding that its table's feed reads from the database.
type Fed struct {
	member *rowset.Member
	base   *Fed                  // the family or binding that it is a member of; nil: it was declared
	in     atomic.Pointer[fedIn] // nil until it is part of a registry
}

var _ Rows = (*Fed)(nil)

// NewFed returns the rows of a declared binding.
func NewFed(m *rowset.Member) *Fed { return &Fed{member: m} }

// Attach implements [Lifetime].
func (r *Fed) Attach(to *Registry) { to.fed = append(to.fed, r) }

// Derive implements [Lifetime].
func (r *Fed) Derive(member *rowset.Member, _ bool, _ func(error) bool) (Rows, error) {
	return &Fed{member: member, base: r}, nil
}

// Begin implements [Lifetime].
func (r *Fed) Begin() {
	if r.base != nil {
		in := r.base.in.Load()
		r.in.Store(in)
		in.feed.Add(r.member)
	}
	r.in.Load().feed.Reload(r.member, backlog.Reload{})
}

// Leave implements [Lifetime].
func (r *Fed) Leave() {
	if r.base != nil { // Left removes a declared one, perhaps with its feed
		r.in.Load().feed.Remove(r.member)
	}
}

// Left implements [Lifetime].
func (r *Fed) Left(ctx context.Context) error {
	in := r.in.Load()
	if in == nil || r.base != nil {
		return nil
	}
	return in.Engine.Detach(ctx, r.member)
}

// FirstTry implements [Lifetime].
func (r *Fed) FirstTry() <-chan struct{} {
	if in := r.in.Load(); in != nil {
		return in.feed.FirstTry()
	}
	return r.member.Loaded()
}

// Watched implements [Lifetime].
func (r *Fed) Watched() []driver.Table { return r.member.Tables() }

// Reload implements [Rows].
func (r *Fed) Reload(how backlog.Reload) (Wait, error) {
	in := r.in.Load()
	if in == nil {
		return nil, ErrNotStarted
	}
	receipt := in.feed.Reload(r.member, how)
	return func(ctx context.Context, patient bool) error {
		err := receipt.Flush(ctx)
		if err == nil && patient { // Flush does not wait for a binding in trouble
			err = r.whenWell(ctx)
		}
		if why := r.member.Err(); why != nil && patient {
			return why // the binding has ended
		}
		return err
	}, nil
}

// whenWell waits until the binding has loaded and is in no trouble. It returns why the
// binding has ended, or the context's error.
func (r *Fed) whenWell(ctx context.Context) error {
	f := r.in.Load().feed
	for {
		trouble, why := f.Trouble(r.member)
		if trouble == nil {
			break
		}
		select {
		case <-trouble:
		case <-r.member.Done():
			return r.member.Err()
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), why)
		}
	}
	return r.whenLoaded(ctx)
}

func (r *Fed) whenLoaded(ctx context.Context) error {
	select {
	case <-r.member.Loaded():
		return r.member.Err()
	case <-r.member.Done():
		return r.member.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Touch implements [Rows].
func (r *Fed) Touch() error {
	in := r.in.Load()
	switch {
	case in == nil:
		return ErrNotStarted
	case r.member.Snapshot() == nil:
		return live.ErrNotLoaded
	case r.member.Err() != nil:
		return r.member.Err()
	}
	in.feed.Touch(r.member)
	return nil
}

// verifyAttempts is how often Verify tries to compare at a moment without unknown
// changes under way.
const verifyAttempts = 5

var errBusy = errors.New("the whole table was under change at each attempt")

// Verify implements [Rows].
func (r *Fed) Verify(ctx context.Context) (status.Drift, error) {
	for range verifyAttempts {
		a := &backlog.Verification{Member: r.member}
		if err := r.verify(ctx, a); err != nil {
			return status.Drift{}, err
		}
		if !a.Busy {
			return a.Drift, nil
		}
	}
	return status.Drift{}, errBusy
}

func (r *Fed) verify(ctx context.Context, a *backlog.Verification) error {
	in := r.in.Load()
	if in == nil {
		return ErrNotStarted
	}
	if len(r.member.Schema().Depends) > 0 { // every read of it is a full read
		wait, err := r.Reload(backlog.Reload{Audits: []*backlog.Verification{a}})
		if err != nil {
			return err
		}
		return wait(ctx, true)
	}
	if err := r.whenLoaded(ctx); err != nil {
		return err
	}
	err := in.feed.Verify(ctx, a)
	if why := r.member.Err(); why != nil {
		return why
	}
	return err
}

// Write implements [Rows].
func (r *Fed) Write(ctx context.Context, w live.Write, bounds writing.Bounds) (live.Row, error) {
	in := r.in.Load()
	if in == nil || r.member.Snapshot() == nil {
		return live.Row{}, fmt.Errorf("core: binding %q: %w", r.member.Name(), live.ErrNotLoaded)
	}
	row, key, err := writing.Write(ctx, r.member, w, bounds, writing.Host{Logger: in.Logger, Now: in.Now})
	if in.feed.Relearned(ctx, r.member, err) { // nothing was written
		row, key, err = writing.Write(ctx, r.member, w, bounds, writing.Host{Logger: in.Logger, Now: in.Now})
	}
	if err != nil {
		return live.Row{}, err
	}
	in.feed.Written(ctx, r.member, key)
	return row, nil
}

// Explain implements [Rows]: it reads the row, and asks the database where Go cannot decide.
func (r *Fed) Explain(ctx context.Context, key driver.Key) (status.Explain, error) {
	in := r.in.Load()
	if in == nil || r.member.Shape.Load() == nil {
		return status.Explain{}, ErrNotStarted
	}
	out := status.Explain{Sources: in.Engine.SourcesOf(r.member.Tables())}
	if s := r.member.Snapshot(); s != nil {
		_, out.In = s.Get(key)
	}
	var err error
	if out.Why, err = onerow.Explain(ctx, r.member, key); err != nil {
		return status.Explain{}, err
	}
	holds := !slices.ContainsFunc(out.Why, func(r status.Reason) bool { return !r.Holds })
	if state, _, err := in.feed.State(r.member); holds != out.In && state != status.Live {
		out.Why = append(out.Why, StateReason(state, err))
	}
	return out, nil
}

// StateReason returns the state of a binding as a reason why it shows wrong rows.
func StateReason(state status.State, err error) status.Reason {
	reason := status.Reason{Binding: state.String()}
	if err != nil {
		reason.Detail = err.Error()
	}
	return reason
}

// Reach implements [Rows]: it has sources report everything first, and waits until that
// shows.
func (r *Fed) Reach(ctx context.Context, m marks.Mark, _ string, own bool) error {
	in := r.in.Load()
	if in == nil {
		return ErrNotStarted
	}
	if err := in.Engine.Ask(ctx, in.feed.Table, m, own); err != nil {
		return err
	}
	if r.member.Unread() { // restored rows may lack everything since
		in.feed.Reload(r.member, backlog.Reload{})
	}
	for {
		// The read that ends a trouble may be older than what was reported meanwhile.
		before, _ := in.feed.Trouble(r.member)
		if err := in.feed.WaitForAll(ctx, r.member); err != nil {
			return err
		}
		if err := r.whenWell(ctx); err != nil || before == nil {
			return err
		}
	}
}

// Status implements [Rows].
func (r *Fed) Status(st *status.Binding) {
	if in := r.in.Load(); in != nil {
		st.State, st.Since, st.Err = in.feed.State(r.member)
		st.Trouble, st.Troubled = in.feed.TroubledRows(r.member)
	}
}

// Saved implements [Rows].
func (r *Fed) Saved() (s live.Saved, unvalued, err error) {
	snap := r.member.Snapshot()
	if r.member.Unread() || snap == nil {
		return live.Saved{}, nil, fmt.Errorf("core: binding %q: %w", r.member.ID(), live.ErrNotLoaded)
	}
	s, unvalued = r.member.Saved(snap)
	return s, unvalued, nil
}

// Restore implements [Rows].
func (r *Fed) Restore(s live.Saved, now time.Time) error {
	if err := r.member.Restore(s, now); err != nil {
		return fmt.Errorf("core: restoring: %w", err)
	}
	return nil
}
