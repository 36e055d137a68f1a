package feed

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/concern"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/untyped"
)

// learning says which loaders are prepared, and which bindings use an old schema. The
// feed's mutex guards it.
type learning struct {
	prepared  map[any]bool          // loaders whose Prepare has succeeded
	preparing map[any]chan struct{} // loaders that are being prepared; closed at the end
	// generation counts how often loaders turned out to be outdated.
	generation uint64
	outdated   map[any]struct{}            // loaders that are to be prepared again
	behind     map[*rowset.Member]struct{} // loaded bindings that use an old schema
}

func newLearning() learning {
	return learning{prepared: make(map[any]bool), preparing: make(map[any]chan struct{}), outdated: make(map[any]struct{}), behind: make(map[*rowset.Member]struct{})}
}

// outdate has a loader prepared again, and then its bindings read in full with the new
// schema.
func (f *Feed) outdate(loader any) {
	f.mu.Lock()
	f.learned.outdated[loader] = struct{}{}
	f.reported++ // a Flush waits for it
	f.mu.Unlock()
	f.kick()
}

// noteOutdated calls outdate if the error says that a loader's schema is out of date. It
// reports whether it does.
func (f *Feed) noteOutdated(err error) bool {
	var o *untyped.Outdated
	if !errors.As(err, &o) {
		return false
	}
	f.outdate(o.Loader)
	return true
}

// Relearned reports whether err says that the schema of the member's loader is out of date,
// and the loader has been prepared again since. Batches do not do that for a member in trouble.
func (f *Feed) Relearned(ctx context.Context, v *rowset.Member, err error) bool {
	return f.noteOutdated(err) && Receipt{f.Barrier()}.Wait(ctx) == nil && f.prepareLoader(ctx, v) == nil
}

// maxRelearns bounds how often a batch begins again because of an outdated schema. After
// that the batch fails, and is retried with back-off.
const maxRelearns = 3

// relearn has the batch read the bindings of outdated loaders in full. They leave their
// pools, and enter them again when they are published, because their membership may then
// be decided differently.
func (f *Feed) relearn(w *work) {
	f.mu.Lock()
	outdated := f.learned.outdated
	if len(outdated) == 0 {
		f.mu.Unlock()
		return
	}
	f.learned.outdated = make(map[any]struct{})
	f.learned.generation++
	var views []*rowset.Member
	for v := range f.members {
		if _, ok := outdated[v.Loader.Identity()]; ok {
			views = append(views, v)
		}
	}
	for loader := range outdated {
		delete(f.learned.prepared, loader)
	}
	for _, v := range views {
		if !v.Unread() {
			f.learned.behind[v] = struct{}{}
		}
		if t := f.troubles.Waiting[v]; t != nil {
			t.Ask(backlog.Reload{})
		}
		if !w.without(v) {
			f.takeOverLocked(w, v)
		}
	}
	f.mu.Unlock()
	for _, v := range views {
		f.poolOf(v).Leave(v)
	}
	// A new pool learns the links to related rows anew, too.
	f.pools = slices.DeleteFunc(f.pools, func(p *concern.Pool) bool { _, ok := outdated[p.Loader.Identity()]; return ok })
	f.host.Logger.Info("core: a table is not as it was when its bindings began; they are read anew", slog.String("id", "core-table-changed"), slog.String("table", f.Table.String()))
}

// takeOverLocked has the batch read the binding in full and answer its requests. A background
// read under way cannot be used: it uses the old schema.
func (f *Feed) takeOverLocked(w *work, v *rowset.Member) {
	r := &fullRead{asked: f.requests + 1}
	if how, ok := w.howOf(v); ok {
		r.how = how
	}
	for _, open := range []map[*rowset.Member]*fullRead{f.waiting, f.underway} {
		if o := open[v]; o != nil {
			r.how, r.asked = r.how.And(o.how), min(r.asked, o.asked)
		}
	}
	delete(f.waiting, v)
	delete(f.startingPoints, v)
	delete(w.starts, v)
	f.underway[v], w.requests[v], w.reloads[v] = r, r, r.how
}

// unlearned reports whether the binding has not loaded, or uses an old schema.
func (f *Feed) unlearned(v *rowset.Member) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, behind := f.learned.behind[v]
	return behind || v.Unread()
}

// learn has the binding use its loader's current schema. how applies to the read in full
// that follows.
func (f *Feed) learn(v *rowset.Member) (how backlog.Reload, err error) {
	anew, err := v.Relearn()
	if err != nil {
		return how, err
	}
	f.mu.Lock()
	delete(f.learned.behind, v)
	f.mu.Unlock()
	return backlog.Reload{Forget: anew}, nil
}

// attempts reads the batch. If a read finds its schema out of date, the batch begins again
// with the new one.
func (f *Feed) attempts(ctx context.Context, w *work) (outcome, error) {
	f.askAltered(ctx, w)
	for n := 1; ; n++ {
		f.relearn(w)
		out, err := f.attemptsAsLearned(ctx, w)
		if err == nil || !f.noteOutdated(err) || n == maxRelearns {
			return out, err
		}
	}
}
