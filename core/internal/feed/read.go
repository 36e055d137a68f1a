package feed

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/changelog"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/untyped"
)

// readyStep is a step that can be published.
type readyStep struct {
	step *rowset.Step
	how  backlog.Reload
}

// attemptsAsLearned reads the batch. When a read fails because of a row or of some members,
// it begins again without these, so that all others show one state of the database. It
// fails if no member could be read.
func (f *Feed) attemptsAsLearned(ctx context.Context, w *work) (outcome, error) {
	for {
		out, err := f.attempt(ctx, *w)
		var failed *readError
		switch {
		case err == nil && w.unproven && !out.covered.read:
			for _, a := range w.aside { // nothing was left to read
				if a != nil {
					return outcome{}, a.err
				}
			}
			return out, nil
		case err == nil || ctx.Err() != nil:
			return out, err
		case errors.Is(err, driver.ErrSchemaChanged):
			return outcome{}, err
		case !errors.As(err, &failed) || !f.narrow(ctx, w, failed):
			return outcome{}, err
		}
		f.mu.Lock()
		f.stats.Failures++
		f.mu.Unlock()
	}
}

// attempt reads the batch once.
func (f *Feed) attempt(ctx context.Context, w work) (outcome, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, f.host.ReadTimeout,
		fmt.Errorf("no answer within %v", f.host.ReadTimeout))
	defer cancel()
	out, err := untyped.Guard("reading", func() (outcome, error) { return f.read(ctx, w) })
	if cause := context.Cause(ctx); err != nil && cause != nil && errors.Is(err, ctx.Err()) {
		var failed *readError
		if errors.As(err, &failed) {
			return out, &readError{failed.read, cause, failed.slow}
		}
		err = cause
	}
	return out, err
}

// narrow takes the members or rows that made a read fail out of the work. It returns false
// when the database is to blame, or the cause is unknown.
func (f *Feed) narrow(ctx context.Context, w *work, failed *readError) bool {
	ctx, cancel := context.WithTimeout(ctx, f.host.ReadTimeout)
	defer cancel()
	r := failed.read
	switch {
	case len(r.full) > 0:
		// They are retried in the background, where they delay no others.
		for _, v := range r.full {
			w.setAside(v, failed.err, true)
		}
	case r.asked != nil:
		answers, known := f.answers(ctx, r.pool, r.keys, w.unreadable)
		if known && !answers {
			return false
		}
		w.unproven = w.unproven || !known
		w.setAside(r.asked, failed.err, false)
		if failed.slow {
			f.mu.Lock()
			number := f.batches
			f.mu.Unlock()
			f.noteSlow(number, []*rowset.Member{r.asked}, true)
		}
	case r.keyed:
		found, there := f.unreadable(ctx, r)
		if !there || len(found) == 0 && w.repeated {
			return false
		}
		w.repeated = true
		if w.unreadable == nil {
			w.unreadable = make(map[driver.Key]error)
		}
		for k, err := range found {
			w.unreadable[k] = err
		}
	default: // finding the rows that show related ones
		if answers, known := f.answers(ctx, r.pool, nil, w.unreadable); known && !answers {
			return false
		} else if !known {
			w.unproven = true
		}
		for _, views := range []map[*rowset.Member]struct{}{r.pool.InMemory, r.pool.Asked} {
			for v := range views {
				if !w.without(v) {
					w.setAside(v, failed.err, true)
				}
			}
		}
	}
	return true
}

// read reads the work and prepares the steps. It publishes nothing, so an error leaves every
// binding as it was.
func (f *Feed) read(ctx context.Context, w work) (outcome, error) {
	if err := f.prepare(ctx, w.reloads); err != nil {
		return outcome{}, err
	}
	p := f.plan(w)
	related := f.mustResolve(w)
	if related == nil && len(p.reads) == 0 && len(w.logs) > 0 {
		related = f.somePool(&w)
	}
	if len(p.reads) == 0 && related == nil {
		if len(w.starts) > 0 { // they have missed nothing
			return f.execute(ctx, p, w)
		}
		return outcome{covered: w}, nil // no binding needs a read
	}
	w.read = true
	if w.undisturbed && len(p.reads) == 1 && related == nil {
		// One statement sees one state of the database. If nothing was announced before it
		// ended, that state has no commit of which the batch reads only a part.
		out, err := f.execute(ctx, p, w)
		f.mu.Lock()
		undisturbed := f.announces == w.announces
		f.mu.Unlock()
		if err != nil || undisturbed {
			return out, err
		}
	}
	if related == nil {
		related = p.reads[0].pool
	}
	snapshotter := related.Loader.Snapshotter()
	if snapshotter == nil {
		for _, by := range w.logs { // rows read now may be newer than the log's answer
			f.mu.Lock()
			f.gapLocked(by)
			f.mu.Unlock()
		}
		if err := f.resolve(ctx, &w); err != nil {
			return outcome{}, err
		}
		f.leaveResolved(&w)
		return f.execute(ctx, f.plan(w), w)
	}
	ends := changelog.Ends(slices.Collect(maps.Keys(w.logs)))
	open, err := openSnapshot(ctx, snapshotter)
	if err != nil {
		return outcome{}, fmt.Errorf("opening a snapshot: %w", err)
	}
	defer open.Close()
	snap := open.Context(ctx)
	behind := f.catchUp(ctx, open, w.following)
	// Commits are announced before they happen, so every commit that the snapshot shows has
	// been announced by now.
	extended, err := f.extend(ctx, w)
	if err != nil {
		return outcome{}, err
	}
	if behind {
		extended.SetWhole(nil)
	}
	f.readLogs(ctx, &extended, ends)
	if err := f.resolve(snap, &extended); err != nil {
		return outcome{}, err
	}
	f.leaveResolved(&extended)
	return f.execute(snap, f.plan(extended), extended)
}

func openSnapshot(ctx context.Context, s driver.Snapshotter) (driver.Snapshot, error) {
	return untyped.Guard("Snapshot", func() (driver.Snapshot, error) { return s.Snapshot(ctx) })
}

// catchUp waits until the sources that follow the database's log have reported every commit
// that the snapshot shows. It returns true if one has not done so in time.
func (f *Feed) catchUp(ctx context.Context, open driver.Snapshot, following []driver.Follower) (behind bool) {
	if len(following) == 0 {
		return false
	}
	f.mu.Lock()
	patience := max(f.host.CatchUpWait, 4*f.wholeReads.last[0])
	f.mu.Unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the source has not caught up within %v", patience))
	defer cancel()
	for _, src := range following {
		if _, err := untyped.Guard("CatchUp", func() (struct{}, error) { return struct{}{}, src.CatchUp(ctx, open) }); err != nil {
			f.mu.Lock()
			f.stats.Behind++
			f.mu.Unlock()
			return true
		}
	}
	return false
}

// extend adds all announced keys, and those reported meanwhile, to the work. They stay
// pending and are read again, because they may be committed after the snapshot was opened.
// It waits for announcements with unknown keys to end. If that takes too long, it adds the
// whole table.
func (f *Feed) extend(ctx context.Context, w work) (work, error) {
	f.mu.Lock()
	var unknown []*Announcement
	for a := range f.announced {
		if a.keys == nil {
			unknown = append(unknown, a)
		}
	}
	patience := max(f.host.AnnounceWait, 4*f.wholeReads.last[0])
	f.mu.Unlock()

	var late []*Announcement
	if len(unknown) > 0 && !w.Whole {
		timer := time.NewTimer(patience)
		defer timer.Stop()
	waiting:
		for i, a := range unknown {
			select {
			case <-a.ended:
			case <-timer.C:
				late = unknown[i:]
				break waiting
			case <-ctx.Done():
				return w, ctx.Err()
			}
		}
	}

	ext := w
	ext.Pending = backlog.Pending{MaxKeys: f.host.MaxBatchKeys}
	ext.Pending.Merge(w.Pending)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(unknown) > 0 && !w.Whole {
		f.stats.Waited++
	}
	if len(late) > 0 {
		f.stats.WaitedOut++
	}
	for _, a := range late {
		ext.announced(a, nil)
	}
	ext.Pending.Merge(f.pending)
	for a := range f.announced {
		if a.keys != nil {
			ext.announced(a, a.keys)
		}
	}
	return ext, nil
}

// announced adds the announced keys to the work; nil adds the whole table.
func (w *work) announced(a *Announcement, keys []driver.Key) {
	if a.related {
		w.AddRelated(a.table, keys, a.by)
	} else {
		w.Add(keys, a.by)
	}
}
