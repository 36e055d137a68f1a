package replication

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/marks"
	"github.com/binderyhq/bindery/core/internal/upkeep"
	"github.com/binderyhq/bindery/core/internal/writing"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

var _ upkeep.Rows = (*Replica)(nil)

// Reload implements [upkeep.Rows].
func (r *Replica) Reload(how backlog.Reload) (upkeep.Wait, error) {
	r.mu.Lock()
	if r.cancel == nil {
		r.mu.Unlock()
		return nil, upkeep.ErrNotStarted
	}
	r.asked, r.anew = true, r.anew.And(how)
	r.wanted++
	mine, again := r.wanted, r.again
	r.mu.Unlock()
	if again != nil {
		again(errAgain)
	}
	r.news.Tell()
	return func(ctx context.Context, patient bool) error { return r.await(ctx, mine, patient) }, nil
}

// await waits until the reload with the number mine shows. Unless patient, it returns nil if
// the origin is away.
func (r *Replica) await(ctx context.Context, mine uint64, patient bool) error {
	for {
		news := r.news.Next()
		r.mu.Lock()
		there, why := r.shown >= mine, r.err
		r.mu.Unlock()
		if there || why != nil && !patient {
			return nil
		}
		select {
		case <-news:
		case <-r.member.Done():
			return r.member.Err()
		case <-ctx.Done():
			if why != nil {
				return fmt.Errorf("%w: %w", ctx.Err(), why)
			}
			return ctx.Err()
		}
	}
}

// Touch implements [upkeep.Rows].
func (r *Replica) Touch() error {
	host := r.hostNow()
	if host == nil {
		return upkeep.ErrNotStarted
	}
	r.publishing.Lock()
	event, err := r.member.Publisher.Touch(host.Now())
	r.publishing.Unlock()
	if err == nil {
		r.published(event)
	}
	return err
}

// Verify implements [upkeep.Rows]. It asks for all rows, and never returns drift, because
// each version's token is compared with the origin's anyway.
func (r *Replica) Verify(ctx context.Context) (status.Drift, error) {
	wait, err := r.Reload(backlog.Reload{})
	if err != nil {
		return status.Drift{}, err
	}
	return status.Drift{}, wait(ctx, true)
}

// Write implements [upkeep.Rows]: clients write to the origin.
func (r *Replica) Write(context.Context, live.Write, writing.Bounds) (live.Row, error) {
	return live.Row{}, fmt.Errorf("core: binding %q: %w", r.member.Name(), live.ErrNotWritable)
}

// Explain implements [upkeep.Rows]. The only reason it knows is that the followed binding
// shows the row, or does not.
func (r *Replica) Explain(_ context.Context, key driver.Key) (status.Explain, error) {
	var out status.Explain
	if s := r.member.Snapshot(); s != nil {
		_, out.In = s.Get(key)
	}
	row := status.Reason{Row: status.Absent, Detail: "in the binding that is followed"}
	if out.In {
		row.Row, row.Holds = status.Present, true
	}
	out.Why = []status.Reason{row}
	var st status.Binding
	if r.Status(&st); st.State != status.Live {
		out.Why = append(out.Why, upkeep.StateReason(st.State, st.Err))
	}
	return out, nil
}

// Status implements [upkeep.Rows].
func (r *Replica) Status(st *status.Binding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	st.State, st.Since, st.Err = r.state, r.since, r.err
}

// Reach implements [upkeep.Rows]. Unless the source waits for the view by itself, it waits
// for the origin to reach the mark, and then restarts Replicate, because the current call may publish older versions.
func (r *Replica) Reach(ctx context.Context, _ marks.Mark, text string, _ bool) error {
	if r.by.Await != nil {
		return guard("AwaitMark", func() error { return r.by.Await(ctx, r.member.View, text) })
	}
	if r.by.Reach == nil {
		return driver.ErrForeign
	}
	if err := guard("Reach", func() error { return r.by.Reach(ctx, r.member.View, text) }); err != nil {
		return err
	}
	select {
	case r.marking <- struct{}{}:
		defer func() { <-r.marking }()
	case <-r.member.Done():
		return r.member.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
	marked := make(chan error, 1)
	r.mu.Lock()
	if r.cancel == nil {
		r.mu.Unlock()
		return upkeep.ErrNotStarted
	}
	r.mark, r.marked = text, marked
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
		return err
	case <-r.member.Done():
		return r.member.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Saved implements [upkeep.Rows]. It is not supported: a replica loads from its origin.
func (r *Replica) Saved() (s live.Saved, unvalued, err error) {
	return live.Saved{}, nil, r.unsupported()
}

// Restore implements [upkeep.Rows]. It is not supported either.
func (r *Replica) Restore(live.Saved, time.Time) error { return r.unsupported() }

func (r *Replica) unsupported() error {
	return fmt.Errorf("core: binding %q is followed from another node, which it is loaded from: %w", r.member.ID(), errors.ErrUnsupported)
}
