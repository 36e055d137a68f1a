package core

import (
	"context"
	"fmt"

	"github.com/binderyhq/bindery/core/filter"
)

// plannedRead is one statement of a batch, and the bindings that its rows are
// for.
type plannedRead struct {
	query Query
	plain bool // by Load: keys or everything, no conditions
	whole bool // the rows are all there are, not just those of the batch's keys
	views []*View
}

// plan is how a batch is read.
type plan struct {
	reads []plannedRead
	keys  []Key
	whole bool
}

// maxSharedFilters is how many bindings' filters are sent to the database
// together when the whole table is read; beyond it all rows are read.
const maxSharedFilters = 16

// planReads decides which statements answer the work: one for all bindings of
// a loader whose membership is decided in memory, and one for each other. The
// bindings that are to be read in full, and those with a limit, get all their
// rows; the others the rows of the batch's keys.
func planReads(w work) plan {
	p := plan{whole: w.whole}
	if !w.whole {
		p.keys = w.sorted()
	}
	type shared struct{ keyed, full []*View }
	groups := make(map[any]*shared)
	var loaders []any // in order of registration
	for _, v := range w.views {
		sh := v.shape.Load()
		_, reload := w.reloads[v]
		full := w.whole || reload || v.current.Load() == nil
		if !full && len(p.keys) == 0 {
			continue
		}
		if sh.inMemory && (v.spec.limit == 0 || !v.read.canQuery()) {
			id := v.read.identity()
			g := groups[id]
			if g == nil {
				g = &shared{}
				groups[id] = g
				loaders = append(loaders, id)
			}
			if full || v.spec.limit > 0 {
				g.full = append(g.full, v)
			} else {
				g.keyed = append(g.keyed, v)
			}
			continue
		}
		q := Query{Filter: v.spec.filter, Where: v.spec.where}
		if v.spec.limit > 0 {
			q.Order, q.Limit = sh.orderBy, v.spec.limit
			full = true
		} else if !full {
			q.Keys = p.keys
		}
		p.reads = append(p.reads, plannedRead{query: q, whole: full, views: []*View{v}})
	}
	for _, id := range loaders {
		g := groups[id]
		if len(g.full) > 0 {
			full := fullRead(g.full)
			if full.plain { // it reads everything: the others need no read of their own
				full.views, g.keyed = append(full.views, g.keyed...), nil
			}
			p.reads = append(p.reads, full)
		}
		if len(g.keyed) > 0 {
			p.reads = append(p.reads, plannedRead{query: Query{Keys: p.keys}, plain: true, views: g.keyed})
		}
	}
	return p
}

// fullRead reads all rows of several bindings at once: those for which any of
// their filters is true.
func fullRead(views []*View) plannedRead {
	r := plannedRead{whole: true, views: views}
	var filters []filter.Expr
	for _, v := range views {
		if v.spec.filter == nil || !v.read.canQuery() || len(views) > maxSharedFilters {
			r.plain = true
			return r
		}
		filters = append(filters, v.spec.filter)
	}
	if len(filters) == 1 {
		r.query.Filter = filters[0]
	} else {
		r.query.Filter = filter.Or(filters...)
	}
	return r
}

// execute runs the plan and prepares the transitions of all bindings
// concerned.
func (f *feed) execute(ctx context.Context, p plan, w work) ([]move, error) {
	var moves []move
	for _, r := range p.reads {
		reader := r.views[0].read
		var rows []any
		var err error
		if r.plain {
			rows, err = reader.load(ctx, r.query.Keys)
		} else {
			rows, err = reader.query(ctx, r.query)
		}
		if err != nil {
			return nil, err
		}
		found, err := r.views[0].shape.Load().candidates(reader, rows)
		if err != nil {
			return nil, err
		}
		var byKey map[Key]*candidate
		if !r.whole {
			byKey = make(map[Key]*candidate, len(found))
			for i := range found {
				byKey[found[i].key] = &found[i]
			}
		}
		for _, v := range r.views {
			t, err := v.advance(r, found, byKey, w.reloads[v].forget, f)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", v.describe(), err)
			}
			moves = append(moves, move{t: t, how: w.reloads[v]})
		}
	}
	return moves, nil
}

// advance prepares the binding's transition from what was read.
func (v *View) advance(r plannedRead, found []candidate, byKey map[Key]*candidate, forget bool, f *feed) (*transition, error) {
	sh := v.shape.Load()
	from := v.current.Load()
	if forget {
		from = nil
	}
	t := v.begin(sh, from, f.now())
	match := func(any) bool { return true }
	if sh.inMemory {
		match = sh.matcher(v.read)
	}
	if r.whole {
		all := make([]candidate, 0, len(found))
		for i := range found {
			if match(found[i].row) {
				// Encode before copying, so that bindings share the bytes.
				if _, err := found[i].encoded(v.read, sh.enc); err != nil {
					return nil, err
				}
				all = append(all, found[i])
			}
		}
		if v.spec.limit > 0 && len(all) > v.spec.limit {
			all = sh.firstRows(v.read, all, v.spec.limit)
		}
		return t, t.replace(all)
	}
	for _, key := range r.query.Keys {
		c := byKey[key]
		if c == nil || !match(c.row) {
			t.remove(key)
			continue
		}
		if err := t.put(c); err != nil {
			return nil, err
		}
	}
	return t, nil
}
