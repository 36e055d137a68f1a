package feed

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/untyped"
)

// askEvery bounds how often the loaders of a table are asked whether it was altered,
// where every read is of the whole table.
const askEvery = time.Second

// askAltered asks the loaders whether their table was altered, where the batch reads
// whole tables: sources report a table that was altered as a whole, and cannot tell
// what that means.
func (f *Feed) askAltered(ctx context.Context, w *work) {
	switch {
	case !w.anyWhole() && !anyLoaded(slices.Collect(maps.Keys(w.reloads))):
		return
	case f.mode().Derived && time.Since(f.askedAt) < askEvery:
		return
	}
	f.askedAt = time.Now()
	f.checkAltered(ctx)
	f.hasten()
}

// anyLoaded reports whether one of the bindings has loaded.
func anyLoaded(views []*rowset.Member) bool {
	return slices.ContainsFunc(views, func(v *rowset.Member) bool { return !v.Unread() })
}

// checkAltered asks the loaders that were prepared whether what they have learned still
// holds. Those of which it does not are prepared again by the next batch.
func (f *Feed) checkAltered(ctx context.Context) {
	ctx, cancel := context.WithTimeoutCause(ctx, f.host.ReadTimeout, fmt.Errorf("no answer within %v", f.host.ReadTimeout))
	defer cancel()
	for _, l := range f.preparedLoaders() {
		// A database that does not answer is noticed by the read.
		if changed, err := l.SchemaChanged(ctx); err == nil && changed {
			f.outdate(l.Identity())
		}
	}
}

// preparedLoaders returns the loaders that were prepared, as they came.
func (f *Feed) preparedLoaders() (loaders []untyped.Loader) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, v := range rowset.InOrder(f.declared) {
		id := v.Loader.Identity()
		twice := slices.ContainsFunc(loaders, func(l untyped.Loader) bool { return l.Identity() == id })
		if !twice && f.learned.prepared[id] {
			loaders = append(loaders, v.Loader)
		}
	}
	return loaders
}

// hasten has bindings tried at once whose loaders could not be prepared: the table may
// be again as they need it.
func (f *Feed) hasten() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for v, t := range f.troubles.Waiting {
		if t.Full && !t.Reading && !f.learned.prepared[v.Loader.Identity()] {
			t.Due, f.troubles.Next = time.Time{}, time.Time{}
		}
	}
}
