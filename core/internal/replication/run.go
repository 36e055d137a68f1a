package replication

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/upkeep"
	"github.com/binderyhq/bindery/core/live"
)

// errAgain ends a call of Replicate so that it is called again at once.
var errAgain = errors.New("core: the rows are asked for anew")

// errConfined refuses to confine rows that another node publishes.
var errConfined = errors.New("it is followed from another node, and cannot be confined further here")

// Attach implements [upkeep.Lifetime].
func (r *Replica) Attach(to *upkeep.Registry) { r.attach(to.Host) }

func (r *Replica) attach(host *upkeep.Host) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.host, r.since = host, host.Now()
}

// Derive implements [upkeep.Lifetime].
func (r *Replica) Derive(member *rowset.Member, confined bool, final func(error) bool) (upkeep.Rows, error) {
	if confined {
		return nil, errConfined
	}
	derived := New(member, r.by)
	derived.base, derived.final = r, final
	return derived, nil
}

// Begin implements [upkeep.Lifetime].
func (r *Replica) Begin() {
	if r.base != nil {
		r.attach(r.base.hostNow())
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan struct{})
	r.mu.Lock()
	host := r.host
	r.cancel, r.done = cancel, done
	r.mu.Unlock()
	running := host.Engine.Background(func(all context.Context) {
		defer close(done)
		defer context.AfterFunc(all, func() { cancel(context.Cause(all)) })()
		r.run(ctx)
	})
	if !running {
		close(done)
	}
}

// Leave implements [upkeep.Lifetime].
func (r *Replica) Leave() {
	r.mu.Lock()
	cancel := r.cancel
	r.mu.Unlock()
	if cancel != nil {
		cancel(live.ErrRemoved)
	}
}

// Left implements [upkeep.Lifetime].
func (r *Replica) Left(ctx context.Context) error {
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

// run calls Replicate until ctx is done, or an error is final.
func (r *Replica) run(ctx context.Context) {
	backoff := backlog.NewBackoff()
	for ctx.Err() == nil {
		begun := time.Now()
		err := r.call(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errAgain):
			continue
		case r.final != nil && r.final(err):
			return
		}
		r.Stale(fmt.Errorf("core: following binding %q: %w", r.member.ID(), err))
		if time.Since(begun) > max(backoff.Wait, time.Second) {
			backoff.Reset() // it worked for longer than the next wait
		}
		r.pause(ctx, backoff.Next())
	}
}

// call calls Replicate once. It returns errAgain if a restart was requested, and otherwise
// why Replicate has ended.
func (r *Replica) call(ctx context.Context) error {
	call, again := context.WithCancelCause(ctx)
	defer again(nil)
	r.mu.Lock()
	r.again, r.serving = again, r.wanted
	r.mu.Unlock()
	err := guard("Replicate", func() error { return r.by.Replicate(call, r) })
	switch {
	case context.Cause(call) == errAgain: //nolint:errorlint // it is this one or another's
		return errAgain
	case err == nil:
		return errors.New("it stopped without saying why")
	}
	return err
}

// pause waits before the next call. A requested reload or mark ends the wait.
func (r *Replica) pause(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	news := r.news.Next()
	for {
		select {
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		case <-news:
			news = r.news.Next()
			if r.Anew() || r.Mark() != "" {
				return
			}
		}
	}
}
