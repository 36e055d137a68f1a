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

// learning is what a feed knows about how far its bindings go by what their
// loaders know. The feed's mutex guards it.
type learning struct {
	prepared  map[any]bool          // loaders whose Prepare has succeeded
	preparing map[any]chan struct{} // loaders that are being prepared; closed at the end
	// generation counts how often loaders turned out to be outdated.
	generation uint64
	outdated   map[any]struct{}            // loaders that are to be prepared again
	behind     map[*rowset.Member]struct{} // bindings that have loaded, and go by an old schema
}

func newLearning() learning {
	return learning{prepared: make(map[any]bool), preparing: make(map[any]chan struct{}), outdated: make(map[any]struct{}), behind: make(map[*rowset.Member]struct{})}
}

// outdate has a loader prepared again, and its bindings read in full by what it
// has learned then. Sources that see a table altered, and reads that find it so,
// call it.
func (f *Feed) outdate(loader any) {
	f.mu.Lock()
	f.learned.outdated[loader] = struct{}{}
	f.reported++ // a Flush waits for it
	f.mu.Unlock()
	f.kick()
}

// noteOutdated outdates the loader of which a read has said that its schema is out
// of date. It reports whether the error says so.
func (f *Feed) noteOutdated(err error) bool {
	var o *untyped.Outdated
	if !errors.As(err, &o) {
		return false
	}
	f.outdate(o.Loader)
	return true
}

// maxRelearns bounds how often a batch begins again because a schema was out of
// date. A loader that has something to learn each time is tried again with
// back-off.
const maxRelearns = 3

// relearn has bindings of outdated loaders read in full, by the batch. They leave
// their pools, which they enter again when they are published: a pool goes by how
// membership was decided.
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
	// What a pool knows of related rows is made anew, too.
	f.pools = slices.DeleteFunc(f.pools, func(p *concern.Pool) bool { _, ok := outdated[p.Loader.Identity()]; return ok })
	f.host.Logger.Info("core: a table is not as it was when its bindings began; they are read anew", slog.String("id", "core-table-changed"), slog.String("table", f.Table.String()))
}

// takeOverLocked has the batch read the binding in full, whoever was about to. What is
// being read in the background is of no use: it goes by the old schema.
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

// unlearned reports whether the binding does not go by what its loader knows.
func (f *Feed) unlearned(v *rowset.Member) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, behind := f.learned.behind[v]
	return behind || v.Unread()
}

// learn has the binding go by what its loader knows. how says more about the read in full
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

// attempts reads the batch. When a read finds its schema out of date, the batch
// begins again by the new one.
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
