package feed

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/concern"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/live"
)

// Declare registers a declaration: a binding, or a family, which may have no members yet.
func (f *Feed) Declare(v *rowset.Member) {
	f.mu.Lock()
	f.declared[v] = struct{}{}
	f.mu.Unlock()
}

// Retract undoes [Feed.Declare]. idle reports that no declaration is left, so that the feed
// can end.
func (f *Feed) Retract(v *rowset.Member) (idle bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.declared, v)
	return len(f.declared) == 0
}

// Declarations returns the declared bindings and families in the order of their declaration.
func (f *Feed) Declarations() []*rowset.Member {
	f.mu.Lock()
	defer f.mu.Unlock()
	return rowset.InOrder(f.declared)
}

// Add makes the feed keep the binding current. [Feed.Reload] loads it.
func (f *Feed) Add(v *rowset.Member) {
	f.mu.Lock()
	f.members[v] = struct{}{}
	f.mu.Unlock()
}

// Remove makes the feed forget the binding.
func (f *Feed) Remove(v *rowset.Member) {
	f.mu.Lock()
	if _, ok := f.members[v]; ok {
		delete(f.members, v)
		delete(f.waiting, v)
		delete(f.underway, v)
		delete(f.startingPoints, v)
		delete(f.queryAfter, v)
		delete(f.slowQueries, v)
		delete(f.slowAsked, v)
		f.lags.Drop(v)
		delete(f.learned.behind, v)
		f.troubles.Remove(v)
		f.leaving = append(f.leaving, v)
		f.reported++ // a Flush waits for it
	}
	f.mu.Unlock()
	f.kick()
}

// aside returns the members in trouble, which batches leave out.
func (f *Feed) aside() map[*rowset.Member]*setAside {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asideLocked()
}

func (f *Feed) asideLocked() map[*rowset.Member]*setAside {
	if len(f.troubles.Waiting) == 0 {
		return nil
	}
	aside := make(map[*rowset.Member]*setAside, len(f.troubles.Waiting))
	for v, t := range f.troubles.Waiting {
		if !t.Joining {
			aside[v] = nil
		}
	}
	return aside
}

// poolOf returns the pool of the binding's loader, and makes it if there is none.
func (f *Feed) poolOf(v *rowset.Member) *concern.Pool {
	id := v.Loader.Identity()
	for _, p := range f.pools {
		if p.Loader.Identity() == id {
			return p
		}
	}
	p := concern.NewPool(v.Loader)
	f.pools = append(f.pools, p)
	return p
}

// forget takes a removed binding out of its pool.
func (f *Feed) forget(v *rowset.Member) {
	f.poolOf(v).Leave(v)
	f.pools = slices.DeleteFunc(f.pools, func(p *concern.Pool) bool { return len(p.InMemory)+len(p.Asked) == 0 })
}

// prepare prepares the loaders of bindings that do not use their current schema, each
// loader once, and has these bindings use it.
func (f *Feed) prepare(ctx context.Context, reloads map[*rowset.Member]backlog.Reload) error {
	for v := range reloads {
		if !f.unlearned(v) {
			continue
		}
		if err := f.prepareLoader(ctx, v); err != nil {
			return &readError{read: plannedRead{full: f.ofLoader(reloads, v.Loader.Identity())}, err: fmt.Errorf("preparing %s: %w", v.Describe(), err)}
		}
		// Prepare may have found out that filters are exact.
		how, err := f.learn(v)
		if err != nil {
			return &readError{read: plannedRead{full: []*rowset.Member{v}}, err: err}
		}
		reloads[v] = reloads[v].And(how)
	}
	return nil
}

// ofLoader returns those bindings of one loader that do not use its current schema.
func (f *Feed) ofLoader(reloads map[*rowset.Member]backlog.Reload, loader any) (views []*rowset.Member) {
	for v := range reloads {
		if f.unlearned(v) && v.Loader.Identity() == loader {
			views = append(views, v)
		}
	}
	return views
}

// prepareLoader prepares the binding's loader, unless that has been done. If several reads
// need it, one prepares it and the others wait.
func (f *Feed) prepareLoader(ctx context.Context, v *rowset.Member) error {
	id := v.Loader.Identity()
	for {
		f.mu.Lock()
		prepared, other := f.learned.prepared[id], f.learned.preparing[id]
		if prepared || other == nil {
			break
		}
		f.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if f.learned.prepared[id] {
		f.mu.Unlock()
		return nil
	}
	done := make(chan struct{})
	f.learned.preparing[id] = done
	generation := f.learned.generation
	f.mu.Unlock()
	warnings, err := v.Loader.Prepare(ctx, v.Schema().Depends)
	if err == nil {
		f.refine(id)
	}
	f.mu.Lock()
	delete(f.learned.preparing, id)
	close(done)
	if err == nil && generation == f.learned.generation { // nothing was outdated meanwhile
		f.learned.prepared[id] = true
	}
	f.mu.Unlock()
	for _, w := range warnings {
		f.host.Logger.Warn("core: a loader warns about what its binding declares", slog.String("id", "core-loader-warns"), slog.String("binding", v.Name()), slog.Any("error", w))
	}
	return err
}

// forgetLoaders forgets loaders that no declaration uses.
func (f *Feed) forgetLoaders() {
	f.mu.Lock()
	defer f.mu.Unlock()
	used := make(map[any]bool, len(f.learned.prepared))
	for v := range f.declared {
		used[v.Loader.Identity()] = true
	}
	maps.DeleteFunc(f.learned.prepared, func(loader any, _ bool) bool { return !used[loader] })
	maps.DeleteFunc(f.learned.outdated, func(loader any, _ struct{}) bool { return !used[loader] })
}

// refine has the loader's declared bindings and families use its current schema, before
// their members do. It drops errors: they come up again when a binding or member is read,
// and then concern that one alone.
func (f *Feed) refine(loader any) {
	for _, v := range f.Declarations() {
		if v.Base == nil && v.Loader.Identity() == loader {
			_ = v.Refine()
		}
	}
}

// Views returns the views of the feed's bindings, including members of families, in no
// order.
func (f *Feed) Views() []*live.View {
	f.mu.Lock()
	defer f.mu.Unlock()
	views := make([]*live.View, 0, len(f.members))
	for p := range f.members {
		views = append(views, p.View)
	}
	return views
}
