package core

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/live"
)

// shown knows which rows of a pool show which rows of related tables.
type shown struct {
	read   untyped.Relations
	tables []driver.Related
	owners []map[driver.Key]*owners // by related table
}

// owners counts, for the rows that show one, the bindings that hold them. Most
// of the time there is one such row.
type owners struct {
	one  driver.Key
	n    int // bindings that hold one
	more map[driver.Key]int
}

func newShown(r untyped.Loader) *shown {
	read := r.Relations()
	if read == nil {
		return nil
	}
	s := &shown{read: read, tables: read.Related()}
	if len(s.tables) == 0 {
		return nil
	}
	s.owners = make([]map[driver.Key]*owners, len(s.tables))
	for i := range s.owners {
		s.owners[i] = make(map[driver.Key]*owners)
	}
	return s
}

// hold notes that one more binding holds the row, release that one less does.
func (s *shown) hold(r live.Row) { s.each(r, (*owners).add) }

func (s *shown) release(r live.Row) { s.each(r, (*owners).remove) }

// moved takes note of a transition that was published; from is what the binding
// held before.
func (s *shown) moved(from rowset.Holding, t *rowset.Step) {
	if t.Anew {
		from.All(s.release)
		t.Member.Holding().All(s.hold)
		return
	}
	exchange := func(key driver.Key) {
		if r := from.Get(key); !r.IsZero() {
			s.release(r)
		}
		if r := t.Held(key); !r.IsZero() {
			s.hold(r)
		}
	}
	if t.Window != nil {
		for _, key := range t.Order {
			exchange(key)
		}
		return
	}
	e := t.Edit.Event()
	for _, rows := range [][]live.Row{e.Created, e.Updated, e.Deleted} {
		for _, r := range rows {
			exchange(r.Key())
		}
	}
	for _, key := range t.Unseen {
		exchange(key)
	}
}

func (s *shown) each(r live.Row, do func(o *owners, main driver.Key)) {
	for i := range s.tables {
		if s.tables[i].Opaque {
			continue
		}
		for _, key := range s.read.Shows(r.Value(), i) {
			o := s.owners[i][key]
			if o == nil {
				o = &owners{}
				s.owners[i][key] = o
			}
			if do(o, r.Key()); o.n == 0 && len(o.more) == 0 {
				delete(s.owners[i], key)
			}
		}
	}
}

func (o *owners) add(main driver.Key) {
	switch {
	case o.n == 0 && o.more[main] == 0:
		o.one, o.n = main, 1
	case o.n > 0 && o.one == main:
		o.n++
	default:
		if o.more == nil {
			o.more = make(map[driver.Key]int)
		}
		o.more[main]++
	}
}

func (o *owners) remove(main driver.Key) {
	if o.n > 0 && o.one == main {
		o.n--
		return
	}
	if o.more[main]--; o.more[main] <= 0 {
		delete(o.more, main)
	}
}

// of adds the rows that show the one with the key.
func (s *shown) of(table int, key driver.Key, add func(main driver.Key)) {
	o := s.owners[table][key]
	if o == nil {
		return
	}
	if o.n > 0 {
		add(o.one)
	}
	for main := range o.more {
		add(main)
	}
}

// concerns reports whether the pool's rows may show some of what has changed in
// related tables.
func (p *pool) concerns(changed map[driver.Table]*pending) bool {
	if p.shown == nil || len(p.known)+len(p.others) == 0 {
		return false
	}
	return slices.ContainsFunc(p.shown.tables, func(r driver.Related) bool {
		c := changed[r.Schema.Table]
		return c != nil && !c.empty()
	})
}

// resolve returns what the pool must read because rows of related tables may
// have changed: the rows that showed them when they were read, and those
// that show them in the snapshot which ctx carries. Where these are more than
// the bound it is everything.
func (p *pool) resolve(ctx context.Context, changed map[driver.Table]*pending, maxKeys int) (pending, error) {
	found := pending{maxKeys: maxKeys}
	if !p.concerns(changed) {
		return found, nil
	}
	for i := range p.shown.tables {
		r := &p.shown.tables[i]
		c := changed[r.Schema.Table]
		switch {
		case c == nil || c.empty():
			continue
		case c.whole:
			found.setWhole(c.wholeBy)
		case r.Opaque:
			found.setWhole(c.onlySource())
		}
		if found.whole {
			return found, nil
		}
		if err := p.resolveTable(ctx, i, c, &found); err != nil {
			return found, fmt.Errorf("finding the rows that show those of table %q: %w", r.Schema.Table, err)
		}
	}
	return found, nil
}

func (p *pool) resolveTable(ctx context.Context, table int, changed *pending, found *pending) error {
	keys := make([]driver.Key, 0, len(changed.keys))
	for _, k := range changed.sorted() {
		by := changed.keys[k]
		k, ok := p.shown.tables[table].Schema.Adopt(k)
		if !ok {
			continue
		}
		keys = append(keys, k)
		p.shown.of(table, k, func(main driver.Key) { found.add([]driver.Key{main}, by) })
	}
	if found.whole || len(keys) == 0 {
		return nil
	}
	now, err := p.shown.read.Owners(ctx, table, keys, found.maxKeys)
	if err != nil || len(now) == 0 {
		return err
	}
	found.add(now, changed.onlySource())
	return nil
}

// onlySource returns the source that reported all keys, nil when several did.
func (p *pending) onlySource() *sourceRun {
	var only *sourceRun
	first := true
	for _, by := range p.keys {
		if !first && by != only {
			return nil
		}
		only, first = by, false
	}
	return only
}

// resolve has every pool find the rows that it must read because of what has
// changed in related tables.
func (f *feed) resolve(ctx context.Context, w *work) error {
	w.resolved = make(map[*pool]pending)
	for _, p := range f.pools {
		if !p.concerns(w.related) || !w.takesPart(p) {
			continue
		}
		found, err := p.resolve(ctx, w.related, f.eng.cfg.MaxBatchKeys)
		if err != nil {
			return &readError{plannedRead{pool: p}, err}
		}
		w.resolved[p] = found
	}
	return nil
}

// mustResolve returns a pool whose rows may show some of what has changed in
// related tables, nil if there is none. A whole read finds them by itself.
func (f *feed) mustResolve(w work) *pool {
	if w.whole {
		return nil
	}
	for _, p := range f.pools {
		if p.concerns(w.related) && w.takesPart(p) {
			return p
		}
	}
	return nil
}

// forPool returns what the batch reads for the pool: keys in order, or everything.
func (w *work) forPool(p *pool) (keys []driver.Key, whole bool) {
	r := w.resolved[p]
	switch {
	case w.whole || r.whole:
		return nil, true
	case len(r.keys) == 0:
		return w.sorted(), false
	}
	all := maps.Clone(r.keys)
	for k := range w.keys {
		all[k] = nil
	}
	return slices.SortedFunc(maps.Keys(all), cmp.Compare[driver.Key]), false
}

// everything reports whether all rows of the pool are read.
func (w *work) everything(p *pool) bool { return w.whole || w.resolved[p].whole }

// anyWhole reports whether all rows of some pool are read.
func (w *work) anyWhole() bool {
	whole := w.whole
	for _, r := range w.resolved {
		whole = whole || r.whole
	}
	return whole
}

// covers reports whether the key was reported, or found to show what was.
func (w *work) covers(p *pool, k driver.Key) bool {
	if _, ok := w.keys[k]; ok {
		return true
	}
	_, ok := w.resolved[p].keys[k]
	return ok
}

// creditedTo returns the source that was the first to report what changed the row.
func (w *work) creditedTo(p *pool, k driver.Key) *sourceRun {
	if by := w.credited(k); by != nil {
		return by
	}
	r := w.resolved[p]
	return r.credited(k)
}
