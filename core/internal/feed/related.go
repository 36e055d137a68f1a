package feed

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/concern"
)

// resolve finds, for every pool, the rows to read because of changes in related tables.
func (f *Feed) resolve(ctx context.Context, w *work) error {
	w.resolved = make(map[*concern.Pool]backlog.Pending)
	for _, p := range f.pools {
		if !p.Shows(w.Related) || !w.takesPart(p) {
			continue
		}
		found, err := p.Resolve(ctx, w.Related, f.host.MaxBatchKeys)
		if err != nil {
			return &readError{read: plannedRead{pool: p}, err: err}
		}
		w.resolved[p] = found
	}
	return nil
}

// mustResolve returns some pool whose rows may show changes of related tables, nil if there
// is none. A read of the whole table covers them anyway.
func (f *Feed) mustResolve(w work) *concern.Pool {
	if w.Whole {
		return nil
	}
	for _, p := range f.pools {
		if p.Shows(w.Related) && w.takesPart(p) {
			return p
		}
	}
	return nil
}

// somePool returns some pool with a binding that takes part, nil if there is none.
func (f *Feed) somePool(w *work) *concern.Pool {
	for _, p := range f.pools {
		if w.takesPart(p) {
			return p
		}
	}
	return nil
}

// forPool returns the keys that the batch reads for the pool, in order, or whole.
func (w *work) forPool(p *concern.Pool) (keys []driver.Key, whole bool) {
	r := w.resolved[p]
	switch {
	case w.Whole || r.Whole:
		return nil, true
	case len(r.Keys) == 0:
		return w.Sorted(), false
	}
	all := maps.Clone(r.Keys)
	for k := range w.Keys {
		all[k] = nil
	}
	return slices.SortedFunc(maps.Keys(all), cmp.Compare[driver.Key]), false
}

// everything reports whether all rows of the pool are read.
func (w *work) everything(p *concern.Pool) bool { return w.Whole || w.resolved[p].Whole }

// anyWhole reports whether all rows of some pool are read.
func (w *work) anyWhole() bool {
	whole := w.Whole
	for _, r := range w.resolved {
		whole = whole || r.Whole
	}
	return whole
}

// covers reports whether the key was reported, or belongs to a row that shows a reported
// one.
func (w *work) covers(p *concern.Pool, k driver.Key) bool {
	if _, ok := w.Keys[k]; ok {
		return true
	}
	_, ok := w.resolved[p].Keys[k]
	return ok
}

// creditedTo returns the source that reported the row, or a related row that it shows,
// first.
func (w *work) creditedTo(p *concern.Pool, k driver.Key) *backlog.Reporter {
	if by := w.Credited(k); by != nil {
		return by
	}
	r := w.resolved[p]
	return r.Credited(k)
}
