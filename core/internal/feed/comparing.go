package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/audit"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/changelog"
	"github.com/binderyhq/bindery/core/internal/compare"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/live"
)

// How comparisons of a database's tables are bounded.
const (
	// comparingShare is the share of time (0 to 1) that comparisons of one database may
	// run, all together, and comparingBurst how long they may run without a rest.
	comparingShare = 0.25
	comparingBurst = 250 * time.Millisecond
	// comparingSlots is how many comparisons of one database may hold a snapshot, and so
	// a connection, at a time.
	comparingSlots = 2
	// openAttempts is how often a comparison tries to open its snapshot between two
	// batches. The last attempt uses its snapshot even if a batch runs.
	openAttempts = 20
)

// comparing is the feed's side of the comparisons of its table. The feed's mutex
// guards all but the auditor.
type comparing struct {
	auditor *audit.Auditor

	pass    *pass          // the comparison under way, or nil
	opened  uint64         // comparisons asked for by sources that have opened their snapshots
	logs    changelog.Mark // as they were when it began
	found   []*found       // to be published by the feed's goroutine
	failure error          // of the last attempt
	since   time.Time      // when attempts began to fail, or to succeed again
	// mending are the pending comparisons after a source was blind for a while.
	mending map[*audit.Ticket]struct{}
}

func newAuditor(f *Feed) *audit.Auditor {
	return audit.New(f, audit.Config{
		MaxRows: f.host.MaxBatchKeys, Stall: f.host.ReadTimeout, Limiter: f.host.Limiter,
		MinWait: backlog.FirstBackoff, MaxWait: backlog.MaxBackoff,
	})
}

// NewLimiter returns a limiter of the comparisons of one database.
func NewLimiter() *audit.Limiter {
	return audit.NewLimiter(comparingShare, comparingBurst, comparingSlots)
}

// runAuditor starts the auditor's goroutine, which ends when ctx is done. The returned
// function waits for that.
func (f *Feed) runAuditor(ctx context.Context) (wait func()) {
	var wg sync.WaitGroup
	wg.Go(func() { f.compared.auditor.Run(ctx, live.ErrClosed) })
	return wg.Wait
}

// Compare requests a comparison of the table with the feed's bindings after a commit. log
// tells which rows changed; it is nil when that is unknown. The mark waits for the
// comparison.
func (f *Feed) Compare(by *backlog.Reporter, log driver.ChangeLog) mark {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats.Reports++
	t := f.compareLocked(by, log)
	f.kick()
	return mark{feed: f, ticket: t}
}

// mended is the kind of ticket that makes up for changes a source has missed.
type mended struct{ by *backlog.Reporter }

// Mend makes up for changes that a source has missed while it could not watch. The next
// batch reads the bindings of a small table in full, so that no version shows new commits
// without older ones. A larger table is compared, and its bindings are stale until then.
// Mend does nothing for a feed that has read nothing yet.
func (f *Feed) Mend(by *backlog.Reporter) {
	f.mu.Lock()
	read := f.reading
	f.mu.Unlock()
	if !read {
		return
	}
	if f.mode().Derived || f.isQuick() {
		f.Report(nil, by)
		return
	}
	// Audited removes the ticket under the same lock, so it cannot do so before this adds it.
	f.mu.Lock()
	defer f.mu.Unlock()
	f.logs.Gap()
	f.compared.mending[f.compared.auditor.Request(audit.NewTicket(mended{by}))] = struct{}{}
}

// isQuick reports whether reading everything that the bindings hold delays others no more
// than a batch of keys may.
func (f *Feed) isQuick() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.isQuickLocked()
}

func (f *Feed) isQuickLocked() bool {
	rows := 0
	for v := range f.members {
		if snap := v.Snapshot(); snap != nil {
			rows += snap.Len()
		}
	}
	return rows <= f.host.MaxBatchKeys && f.wholeReads.within(comparingBurst)
}

// Mends returns a receipt for the pending comparisons that make up for missed changes.
func (f *Feed) Mends() (r Receipt) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for t := range f.compared.mending {
		r = append(r, mark{feed: f, ticket: t})
	}
	return r
}

// WaitForAll waits until the member shows everything reported so far, and what all
// comparisons requested so far find. It does not wait for reads of other bindings in full. A
// nil member stands for all.
func (f *Feed) WaitForAll(ctx context.Context, v *rowset.Member) error {
	of := func(o *rowset.Member) bool { return v == nil || o == v }
	f.mu.Lock()
	reported := f.reported
	f.mu.Unlock()
	if err := f.wait(ctx, reported); err != nil {
		return err
	}
	// A read in full that a comparison has overtaken requests another comparison when it
	// ends, so these reads come first. Comparisons request reads in full, too.
	if err := f.waitAnswered(ctx, f.requested(), of); err != nil {
		return err
	}
	for _, t := range f.compared.auditor.Open() {
		if err := t.Wait(ctx); err != nil {
			return err
		}
	}
	return f.waitAnswered(ctx, f.requested(), of)
}

// errMending is why bindings are stale until missed changes are made up for.
var errMending = errors.New("core: a source had lost its sight; the table is being compared with the database")

// Audited implements [audit.Feed].
func (f *Feed) Audited(ctx context.Context, out audit.Outcome) (again bool) {
	f.noteOutdated(out.Err)
	if out.Failed != nil && f.setAsideIncomparable(ctx, out.Failed.(*compare.Set), out.Err) {
		return true
	}
	f.mu.Lock()
	st := &f.stats
	st.Compared += out.Rows
	st.ComparedFound += out.Found
	st.ComparedParts += out.Parts
	before := f.compared.failure
	f.compared.failure = nil
	if out.Err != nil {
		st.Failures++
		f.compared.failure = fmt.Errorf("core: comparing table %q: %w", f.Table, out.Err)
	} else {
		st.Comparisons++
		for _, t := range out.Tickets {
			delete(f.compared.mending, t)
		}
		f.comparisonEndedLocked()
	}
	if (out.Err == nil) != (before == nil) {
		f.compared.since = f.host.Now()
	}
	err := f.compared.failure
	f.mu.Unlock()
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		f.host.Logger.Warn("core: comparing failed; rows are served from memory, and changes that nobody reports are not seen, until it succeeds", slog.String("id", "core-compare-failed"),
			slog.String("table", f.Table.String()), slog.Any("error", err))
	case err == nil && before != nil:
		f.host.Logger.Info("core: comparing succeeds again", slog.String("id", "core-compare-healed"), slog.String("table", f.Table.String()))
	}
	return false
}

// Open implements [audit.Feed].
func (f *Feed) Open(ctx context.Context, tickets []*audit.Ticket) (audit.Pass, error) {
	var snapshotter driver.Snapshotter
	f.mu.Lock()
	for v := range f.members {
		if snapshotter = v.Loader.Snapshotter(); snapshotter != nil {
			break
		}
	}
	f.mu.Unlock()
	f.checkAltered(ctx)
	for try := 1; ; try++ {
		p := &pass{feed: f, ctx: ctx, release: func() {}, tickets: tickets}
		f.mu.Lock()
		begun, busy := f.batches, f.inBatch
		if p.first = begun; !busy {
			p.first++
		}
		f.compared.pass = p
		f.mu.Unlock()
		f.comparisonBegins()
		if snapshotter != nil {
			open, err := openSnapshot(ctx, snapshotter)
			if err != nil {
				p.Close()
				return nil, fmt.Errorf("opening a snapshot: %w", err)
			}
			p.ctx, p.release, p.one = open.Context(ctx), open.Close, true
		}
		f.mu.Lock()
		undisturbed := !busy && begun == f.batches
		last := try >= openAttempts
		if undisturbed || last {
			p.beginLocked()
			if p.by() != nil {
				f.compared.opened++
			}
		}
		f.mu.Unlock()
		if undisturbed || last {
			for _, set := range compare.Sets(p.ctx, p.members) {
				p.readings = append(p.readings, set)
			}
			return p, nil
		}
		p.Close()
		// The batch ends soon, and the next may not follow at once.
		timer := time.NewTimer(time.Duration(try) * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
	}
}
