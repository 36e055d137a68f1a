package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/audit"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/live"
)

// Receipt waits until one or several feeds have done what was asked of them.
type Receipt []mark

// mark is something asked of a feed: to show all reports up to one, to read a binding in
// full, or to compare its table.
type mark struct {
	feed    *Feed
	seq     uint64         // number of the last report to wait for
	touch   uint64         // number of the last touch to wait for
	member  *rowset.Member // the binding to read in full; nil: none
	request uint64         // number of the request to read it
	all     bool           // wait for all requests to read in full, too
	ticket  *audit.Ticket  // the comparison to wait for, alone; nil: none
}

func (m mark) wait(ctx context.Context) error {
	if m.ticket != nil {
		if err := m.ticket.Wait(ctx); err != nil {
			return err
		}
		return m.feed.waitAnswered(ctx, m.feed.requested(), nil)
	}
	err := m.feed.wait(ctx, m.seq)
	switch {
	case err != nil:
		return err
	case m.member != nil:
		return m.feed.waitAnswered(ctx, m.request, func(v *rowset.Member) bool { return v == m.member })
	case m.all:
		if err := m.feed.waitUntil(ctx, func() bool { return m.feed.touchesDone >= m.touch }); err != nil {
			return err
		}
		return m.feed.waitAnswered(ctx, m.feed.requested(), nil)
	}
	return nil
}

// Wait implements [driver.Receipt]. It is for writers: once a writer's wait for a feed has
// failed, others get [driver.ErrLate] until the feed has caught up.
func (r Receipt) Wait(ctx context.Context) error {
	var errs []error
	for _, m := range r {
		err := m.waitForWriter(ctx)
		switch {
		case errors.Is(err, driver.ErrLate):
			errs = append(errs, err)
		case err != nil:
			return err
		}
	}
	return errors.Join(errs...)
}

// Flush waits for all of it, as long as ctx allows.
func (r Receipt) Flush(ctx context.Context) error {
	for _, m := range r {
		if err := m.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// wait waits until batches have published everything up to the report. Members in trouble,
// queries, and bindings left to background reads may lack it still. If the feed has ended
// because its last binding was removed, wait returns nil.
func (f *Feed) wait(ctx context.Context, seq uint64) error {
	return f.waitUntil(ctx, func() bool { return f.applied >= seq })
}

// waitAnswered waits until the requests up to the number, of the members that pass the test
// (nil: of all), are answered or have put their member in trouble.
func (f *Feed) waitAnswered(ctx context.Context, number uint64, concerns func(*rowset.Member) bool) error {
	return f.waitUntil(ctx, func() bool { return f.answeredLocked(number, concerns) })
}

// requested returns the number of the last request to read a binding in full.
func (f *Feed) requested() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

// waitUntil waits until holds returns true. It calls holds with the feed's mutex held.
func (f *Feed) waitUntil(ctx context.Context, holds func() bool) error {
	for {
		f.mu.Lock()
		done, closed, progress := holds(), f.closed, f.progress
		f.mu.Unlock()
		switch {
		case done, errors.Is(closed, live.ErrRemoved):
			return nil
		case closed != nil:
			return live.ErrClosed
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// After a writer's wait of lateAfter or more has failed, no other writer waits until the
// feed has caught up. The first wait of slowWait or more is logged, once for each feed.
const (
	lateAfter = time.Second
	slowWait  = 250 * time.Millisecond
)

func (m mark) waitForWriter(ctx context.Context) error {
	if m.ticket == nil {
		return m.feed.waitForWriter(ctx, m.seq)
	}
	if err := m.ticket.Wait(ctx); err != nil {
		return err
	}
	return m.feed.waitForRefills(ctx)
}

// waitForRefills waits for the reads in full that a comparison has requested, of loaded
// bindings that are not known to be slow. It waits for lateAfter at most.
func (f *Feed) waitForRefills(ctx context.Context) error {
	patience, cancel := context.WithTimeout(ctx, lateAfter)
	defer cancel()
	err := f.waitAnswered(patience, f.requested(), func(v *rowset.Member) bool { return !v.Unread() && !f.slowQueries[v] })
	if err != nil && ctx.Err() == nil && patience.Err() != nil {
		return nil
	}
	return err
}

// waitForWriter is waitAwaited with statistics. It returns an error at once while the feed
// is late.
func (f *Feed) waitForWriter(ctx context.Context, seq uint64) error {
	f.mu.Lock()
	waits, late := (f.applied < seq || f.lags.Lacks(seq)) && f.closed == nil, f.applied < f.late
	f.mu.Unlock()
	switch {
	case !waits:
		return f.waitAwaited(ctx, seq)
	case late:
		return fmt.Errorf("core: table %q: %w", f.Table, driver.ErrLate)
	}
	begun := time.Now()
	err := f.waitAwaited(ctx, seq)
	took := time.Since(begun)
	f.mu.Lock()
	f.stats.Waits++
	f.stats.WaitTime += took
	if err != nil && took >= lateAfter && f.closed == nil {
		f.stats.WaitsInVain++
		f.late = f.reported
	}
	slow := took >= slowWait && !f.slow
	f.slow = f.slow || slow
	f.mu.Unlock()
	if slow {
		f.host.Logger.Warn("core: writers wait long until the bindings of a table show what they wrote; this is not logged again", slog.String("id", "core-late-wait"),
			slog.String("table", f.Table.String()), slog.Duration("waited", took))
	}
	return err
}

// waitAwaited is wait, and then waits for bindings left to background reads that lack the
// report, for queries that are quick, and for queries whose declaration asks that writers
// wait. A query that delays a writer by lateAfter counts as slow until it was quick again.
func (f *Feed) waitAwaited(ctx context.Context, seq uint64) error {
	if err := f.wait(ctx, seq); err != nil {
		return err
	}
	if err := f.waitUntil(ctx, func() bool { return !f.lags.Lacks(seq) }); err != nil {
		return err
	}
	quick := func(v *rowset.Member) bool { return f.isQueriedLocked(v) && !f.slowQueries[v] }
	f.mu.Lock()
	number, queried := f.requests, !f.answeredLocked(f.requests, f.isQueriedLocked)
	f.mu.Unlock()
	if !queried {
		return nil
	}
	patience, cancel := context.WithTimeout(ctx, lateAfter)
	defer cancel()
	if err := f.waitAnswered(patience, number, quick); err != nil {
		if ctx.Err() != nil || patience.Err() == nil {
			return err
		}
		f.mu.Lock()
		for _, open := range []map[*rowset.Member]*fullRead{f.waiting, f.underway} {
			for v := range open {
				if f.isQueriedLocked(v) {
					f.slowQueries[v] = true
				}
			}
		}
		f.mu.Unlock()
	}
	return f.waitAnswered(ctx, number, func(v *rowset.Member) bool { return f.isQueriedLocked(v) && v.Spec.Awaited })
}

// Written waits until the row that was written through the binding shows, even if that
// takes a query. It reports the key itself, so that it does not depend on a source. It
// returns no error, because the write has been made however the wait ends.
func (f *Feed) Written(ctx context.Context, v *rowset.Member, key driver.Key) {
	keys := []driver.Key{key}
	mode := f.mode()
	if mode.Derived {
		keys = nil // every read is a full read
	}
	m := f.Report(keys, nil)
	if mode.Lagging || (Receipt{m}).Wait(ctx) != nil || !f.isQueried(v) {
		return
	}
	_ = f.waitAnswered(ctx, f.requested(), func(o *rowset.Member) bool { return o == v })
}
