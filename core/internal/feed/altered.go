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

// askEvery is the shortest time between two questions to loaders whether their table was
// altered, for a feed whose every read is of the whole table.
const askEvery = time.Second

// askAltered asks the loaders whether their table was altered, if the batch reads whole
// tables. Sources report an altered table as a whole, and do not say that it was altered.
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

// checkAltered asks the prepared loaders whether their schema has changed. The next batch
// prepares those again whose schema has.
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

// preparedLoaders returns the prepared loaders, in the order of their first declaration.
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

// hasten retries at once the bindings whose loaders could not be prepared: the table may
// meanwhile suit them again.
func (f *Feed) hasten() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for v, t := range f.troubles.Waiting {
		if t.Full && !t.Reading && !f.learned.prepared[v.Loader.Identity()] {
			t.Due, f.troubles.Next = time.Time{}, time.Time{}
		}
	}
}
