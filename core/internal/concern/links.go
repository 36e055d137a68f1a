package concern

import (
	"context"
	"fmt"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/live"
)

// Links map rows of related tables to the rows of a pool that show them.
type Links struct {
	read    untyped.Relations
	tables  []driver.Related
	showing []map[driver.Key]*rowsShowing // by related table
}

// rowsShowing are the rows that show one related row, with the number of bindings that hold
// each. Mostly there is only one.
type rowsShowing struct {
	one  driver.Key
	n    int // number of bindings that hold one; 0: one is not set
	more map[driver.Key]int
}

func newLinks(r untyped.Loader) *Links {
	read := r.Relations()
	if read == nil {
		return nil
	}
	s := &Links{read: read, tables: read.Related()}
	if len(s.tables) == 0 {
		return nil
	}
	s.showing = make([]map[driver.Key]*rowsShowing, len(s.tables))
	for i := range s.showing {
		s.showing[i] = make(map[driver.Key]*rowsShowing)
	}
	return s
}

// hold notes that one more binding holds the row, release that one less does.
func (s *Links) hold(r live.Row) { s.each(r, (*rowsShowing).add) }

func (s *Links) release(r live.Row) { s.each(r, (*rowsShowing).remove) }

// moved updates the links after a step was published. from is what the binding held before.
func (s *Links) moved(from rowset.Holding, t *rowset.Step) {
	if t.Anew {
		from.All(s.release)
		t.Member.Holding().All(s.hold)
		return
	}
	t.Each(func(key driver.Key) {
		if r := from.Get(key); !r.IsZero() {
			s.release(r)
		}
		if r := t.Held(key); !r.IsZero() {
			s.hold(r)
		}
	})
}

func (s *Links) each(r live.Row, do func(o *rowsShowing, main driver.Key)) {
	for i := range s.tables {
		if s.tables[i].Opaque {
			continue
		}
		for _, key := range s.read.RelatedKeys(r.Value(), i) {
			o := s.showing[i][key]
			if o == nil {
				o = &rowsShowing{}
				s.showing[i][key] = o
			}
			if do(o, r.Key()); o.n == 0 && len(o.more) == 0 {
				delete(s.showing[i], key)
			}
		}
	}
}

func (o *rowsShowing) add(main driver.Key) {
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

func (o *rowsShowing) remove(main driver.Key) {
	if o.n > 0 && o.one == main {
		o.n--
		return
	}
	if o.more[main]--; o.more[main] <= 0 {
		delete(o.more, main)
	}
}

// of calls add for the rows that show the related row with the key.
func (s *Links) of(table int, key driver.Key, add func(main driver.Key)) {
	o := s.showing[table][key]
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

// Shows reports whether the pool's rows may show changed rows of related tables.
func (p *Pool) Shows(changed map[driver.Table]*backlog.Pending) bool {
	if p.links == nil || len(p.InMemory)+len(p.Asked) == 0 {
		return false
	}
	return slices.ContainsFunc(p.links.tables, func(r driver.Related) bool {
		c := changed[r.Schema.Table]
		return c != nil && !c.Empty()
	})
}

// Resolve returns the keys that the pool must read because rows of related tables may have
// changed: of the rows that showed them when last read, and of those that show them in the
// snapshot that ctx carries. Beyond maxKeys keys it returns the whole table.
func (p *Pool) Resolve(ctx context.Context, changed map[driver.Table]*backlog.Pending, maxKeys int) (backlog.Pending, error) {
	found := backlog.Pending{MaxKeys: maxKeys}
	if !p.Shows(changed) {
		return found, nil
	}
	for i := range p.links.tables {
		r := &p.links.tables[i]
		c := changed[r.Schema.Table]
		switch {
		case c == nil || c.Empty():
			continue
		case c.Whole:
			found.SetWhole(c.WholeBy)
		case r.Opaque:
			found.SetWhole(c.OnlySource())
		}
		if found.Whole {
			return found, nil
		}
		if err := p.resolveTable(ctx, i, c, &found); err != nil {
			return found, fmt.Errorf("finding the rows that show those of table %q: %w", r.Schema.Table, err)
		}
	}
	return found, nil
}

func (p *Pool) resolveTable(ctx context.Context, table int, changed *backlog.Pending, found *backlog.Pending) error {
	keys := make([]driver.Key, 0, len(changed.Keys))
	for _, k := range changed.Sorted() {
		by := changed.Keys[k]
		k, ok := p.links.tables[table].Schema.Adopt(k)
		if !ok {
			continue
		}
		keys = append(keys, k)
		p.links.of(table, k, func(main driver.Key) { found.Add([]driver.Key{main}, by) })
	}
	if found.Whole || len(keys) == 0 {
		return nil
	}
	now, err := p.links.read.Referrers(ctx, table, keys, found.MaxKeys)
	if err != nil || len(now) == 0 {
		return err
	}
	found.Add(now, changed.OnlySource())
	return nil
}
