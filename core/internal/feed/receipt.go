package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/audit"
	"github.com/binderyhq/bindery/core/live"
)

// Receipt waits for one or several feeds to catch up.
type Receipt []mark

// mark is a point in the reports of one feed, or a comparison of its table.
type mark struct {
	feed   *Feed
	seq    uint64
	ticket *audit.Ticket // nil: a point in the reports
}

func (m mark) wait(ctx context.Context) error {
	if m.ticket != nil {
		return m.ticket.Wait(ctx)
	}
	return m.feed.wait(ctx, m.seq)
}

// Wait implements [driver.Receipt]. It is for writers: they do not wait again
// for a feed for which another has waited in vain.
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

// Flush waits as well, but as long as it takes.
func (r Receipt) Flush(ctx context.Context) error {
	for _, m := range r {
		if err := m.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// wait waits until everything up to the report shows, in all members but those
// in trouble. A feed that has ended because nothing is bound to its table any
// more has nothing left to show.
func (f *Feed) wait(ctx context.Context, seq uint64) error {
	for {
		f.mu.Lock()
		applied, closed, progress := f.applied, f.closed, f.progress
		f.mu.Unlock()
		switch {
		case applied >= seq, errors.Is(closed, live.ErrRemoved):
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

// A writer that has waited for lateAfter in vain is the last to do so until the
// feed has caught up. A wait of slowWait is logged, once for each feed.
const (
	lateAfter = time.Second
	slowWait  = 250 * time.Millisecond
)

func (m mark) waitForWriter(ctx context.Context) error {
	if m.ticket != nil {
		return m.ticket.Wait(ctx)
	}
	return m.feed.waitForWriter(ctx, m.seq)
}

// waitForWriter is wait, counted, and cut short while the feed is late.
func (f *Feed) waitForWriter(ctx context.Context, seq uint64) error {
	f.mu.Lock()
	waits, late := f.applied < seq && f.closed == nil, f.applied < f.late
	f.mu.Unlock()
	switch {
	case !waits:
		return f.wait(ctx, seq)
	case late:
		return fmt.Errorf("core: table %q: %w", f.Table, driver.ErrLate)
	}
	begun := time.Now()
	err := f.wait(ctx, seq)
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

// Written waits until the row that was written shows. The commit is reported by
// whatever source watches the table; it is reported once more here, so that
// the answer does not depend on one. Whatever ends the wait, the write has been
// made.
func (f *Feed) Written(ctx context.Context, key driver.Key) {
	keys := []driver.Key{key}
	mode := f.mode()
	if mode.Derived {
		keys = nil // it reads everything, whatever the keys
	}
	m := f.Report(keys, nil)
	if !mode.Lagging {
		_ = Receipt{m}.Wait(ctx)
	}
}
