package core

import (
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/rowset"
)

// DependsOn names the tables that the binding's rows are made of, where that is
// more than the table that it is bound to tells: for a view of the database, for
// one. Whenever one of them changes the binding is read anew, in full and at the
// pace of [Tuning].MinInterval, and compared with what it held. A Database left empty
// means the binding's. Several options add up.
//
// Sources are then shown these tables and no longer the binding's own, which
// may be named as well if it is written to.
func DependsOn(tables ...driver.Table) Option {
	return func(s *settings) { s.Depends = append(s.Depends, tables...) }
}

// routes say which feeds the changes of a table concern: the table's own, and
// those that depend on it or show its rows. The engine guards them with its mutex.
type routes struct {
	feeds  map[driver.Table][]*feedRun
	tables []driver.Table // the keys of feeds, as they came
}

// add makes the feed hear of what concerns the binding. It reports whether
// tables came that no feed has heard of yet.
func (r *routes) add(run *feedRun, v *rowset.Member) (news bool) {
	schema := v.Schema()
	if len(schema.Depends) > 0 {
		run.pace.join(v.Spec.MinInterval, v.Spec.Awaited)
	}
	for _, r := range v.RelatedTables() {
		run.relates[r.Schema.Table]++
		news = true // to those who know the table, that its rows are shown
	}
	for _, t := range v.Tables() {
		if run.hears[t]++; run.hears[t] > 1 {
			continue
		}
		if len(r.feeds[t]) == 0 {
			r.tables = append(r.tables, t)
			news = true
		}
		r.feeds[t] = append(r.feeds[t], run)
	}
	return news
}

// remove undoes add. It reports whether tables have gone.
func (r *routes) remove(run *feedRun, v *rowset.Member) (news bool) {
	schema := v.Schema()
	if len(schema.Depends) > 0 {
		run.pace.leave(v.Spec.MinInterval, v.Spec.Awaited)
	}
	for _, r := range v.RelatedTables() {
		run.relates[r.Schema.Table]--
	}
	for _, t := range v.Tables() {
		if run.hears[t]--; run.hears[t] > 0 {
			continue
		}
		delete(run.hears, t)
		r.feeds[t] = slices.DeleteFunc(r.feeds[t], func(o *feedRun) bool { return o == run })
		if len(r.feeds[t]) == 0 {
			delete(r.feeds, t)
			r.tables = slices.DeleteFunc(r.tables, func(o driver.Table) bool { return o == t })
			news = true
		}
	}
	return news
}

// route is how a change reaches a feed.
type route struct {
	*feed
	// own: the keys are those of the feed's own rows. related: they are those of
	// rows that the feed's rows show. Both are so where rows show others of
	// their table.
	own, related bool
	// derived: the feed is read in full, whatever the keys. One such read is of
	// one state of the database, so it need not know of commits under way.
	derived bool
	// lagging: nobody waits for it.
	lagging bool
}

// of returns the feeds that a change of the table concerns.
func (r *routes) of(t driver.Table) []route {
	var out []route
	add := func(run *feedRun) {
		derived, lagging := run.pace.mode()
		r := route{feed: run.feed, own: true, derived: derived, lagging: lagging}
		if t.Name != "" && !derived {
			r.own, r.related = run.table == t, run.relates[t] > 0
		}
		out = append(out, r)
	}
	if t.Name != "" {
		for _, run := range r.feeds[t] {
			add(run)
		}
		return out
	}
	seen := make(map[*feedRun]bool)
	for _, table := range r.tables {
		if table.Database != t.Database || t.Schema != "" && t.Schema != table.Schema {
			continue
		}
		for _, run := range r.feeds[table] {
			if !seen[run] {
				seen[run] = true
				add(run)
			}
		}
	}
	return out
}

// hears returns the tables whose changes concern the feed of table t.
func (e *engine) hears(t driver.Table) []driver.Table {
	e.mu.Lock()
	defer e.mu.Unlock()
	run := e.feeds[t]
	if run == nil {
		return nil
	}
	out := make([]driver.Table, 0, len(run.hears))
	for table := range run.hears {
		out = append(out, table)
	}
	return out
}

// heard returns the tables whose changes concern any feed, in the order in which
// they came, and a channel that is closed when they change. A table that is
// depended on, and neither bound itself nor shown in rows, has no columns and no
// key.
func (e *engine) heard() ([]driver.Schema, <-chan struct{}) {
	e.mu.Lock()
	changed, tables := e.changed, slices.Clone(e.routes.tables)
	own := make([]*feed, len(tables))
	var relating []*feed // that show the rows of others
	for i, t := range tables {
		if run := e.feeds[t]; run != nil && run.hears[t] > 0 {
			own[i] = run.feed
		}
		for _, run := range e.routes.feeds[t] {
			if run.relates[t] > 0 && !slices.Contains(relating, run.feed) {
				relating = append(relating, run.feed)
			}
		}
	}
	e.mu.Unlock()
	related := make(map[driver.Table]driver.Schema)
	for _, f := range relating {
		f.mu.Lock()
		declared := rowset.InOrder(f.declared)
		f.mu.Unlock()
		for _, v := range declared {
			for _, r := range v.RelatedTables() {
				if _, ok := related[r.Schema.Table]; !ok {
					related[r.Schema.Table] = r.Schema
				}
			}
		}
	}
	schemas := make([]driver.Schema, len(tables))
	for i, t := range tables {
		schemas[i].Table = t
		if s, ok := related[t]; ok {
			schemas[i] = s
		}
		if f := own[i]; f != nil {
			if v := f.first(); v != nil {
				schemas[i] = v.Schema()
			}
		}
		_, schemas[i].Shown = related[t]
	}
	return schemas, changed
}
