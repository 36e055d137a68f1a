package core

import (
	"context"
	"fmt"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// move is a transition ready to be published.
type move struct {
	t   *transition
	how reload
}

// read reads what the work covers and prepares the transitions. Nothing is
// published before all of them are ready, so that an error leaves every binding
// as it was. It returns the work that was really read, which may be more.
func (f *feed) read(ctx context.Context, w work) (moves []move, covered work, err error) {
	if err := f.prepare(ctx, w); err != nil {
		return nil, w, err
	}
	p := f.plan(w)
	related := f.mustResolve(w)
	if len(p.reads) == 0 && related == nil {
		return nil, w, nil // nobody to read for
	}
	w.read = true
	if w.calm && len(p.reads) == 1 && related == nil {
		// One statement sees one state by itself. It is a state that holds no
		// part of an unread commit if nothing was announced up to its end.
		moves, unsettled, err := f.execute(ctx, p, w, false)
		f.mu.Lock()
		undisturbed := f.announces == w.gen
		f.mu.Unlock()
		if err != nil || undisturbed && len(unsettled) == 0 {
			return moves, w, err
		}
	}
	if related == nil {
		related = p.reads[0].pool
	}
	snapshotter := related.read.snapshotter()
	if snapshotter == nil {
		if err := f.resolve(ctx, &w); err != nil {
			return nil, w, err
		}
		moves, _, err := f.execute(ctx, f.plan(w), w, true)
		return moves, w, err
	}
	open, err := openSnapshot(ctx, snapshotter)
	if err != nil {
		return nil, w, fmt.Errorf("opening a snapshot: %w", err)
	}
	defer open.Close()
	snap := open.Context(ctx)
	behind := f.catchUp(ctx, open, w.following)
	// Whatever the snapshot shows was announced before it was committed, so it
	// has been announced by now.
	extended, err := f.extend(ctx, w)
	if err != nil {
		return nil, w, err
	}
	if behind {
		extended.setWhole(nil)
	}
	if err := f.resolve(snap, &extended); err != nil {
		return nil, w, err
	}
	moves, _, err = f.execute(snap, f.plan(extended), extended, true)
	return moves, extended, err
}

func openSnapshot(ctx context.Context, s driver.Snapshotter) (driver.Snapshot, error) {
	return guard("Snapshot", func() (driver.Snapshot, error) { return s.Snapshot(ctx) })
}

// catchUp has the sources that follow the database's log report all that the
// snapshot shows, within a bound. It returns true when one of them has not.
func (f *feed) catchUp(ctx context.Context, open driver.Snapshot, following []driver.Follower) (behind bool) {
	if len(following) == 0 {
		return false
	}
	f.mu.Lock()
	patience := max(f.eng.cfg.CatchUpWait, 4*f.wholeRead)
	f.mu.Unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the source has not caught up within %v", patience))
	defer cancel()
	for _, src := range following {
		if _, err := guard("CatchUp", func() (struct{}, error) { return struct{}{}, src.CatchUp(ctx, open) }); err != nil {
			f.mu.Lock()
			f.stats.Behind++
			f.mu.Unlock()
			return true
		}
	}
	return false
}

// extend adds to the work all that is announced, and what has been reported
// meanwhile, to be read too and read again later: it may have been committed
// after the snapshot was opened. Announcements of unknown keys are waited for,
// within a bound; beyond it the whole table is read.
func (f *feed) extend(ctx context.Context, w work) (work, error) {
	f.mu.Lock()
	var unknown []*announcement
	for a := range f.announced {
		if a.keys == nil {
			unknown = append(unknown, a)
		}
	}
	patience := max(f.eng.cfg.AnnounceWait, 4*f.wholeRead)
	f.mu.Unlock()

	var late []*announcement
	if len(unknown) > 0 && !w.whole {
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
	ext.pending = pending{maxKeys: f.eng.cfg.MaxBatchKeys}
	ext.pending.merge(w.pending)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(unknown) > 0 && !w.whole {
		f.stats.Waited++
	}
	if len(late) > 0 {
		f.stats.WaitedOut++
	}
	for _, a := range late {
		ext.announced(a, nil)
	}
	ext.pending.merge(f.pending)
	for a := range f.announced {
		if a.keys != nil {
			ext.announced(a, a.keys)
		}
	}
	return ext, nil
}

// announced adds what was announced to what is read.
func (w *work) announced(a *announcement, keys []driver.Key) {
	if a.related {
		w.addRelated(a.table, keys, a.by)
	} else {
		w.add(keys, a.by)
	}
}
