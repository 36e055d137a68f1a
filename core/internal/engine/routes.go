package engine

import (
	"maps"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/feed"
	"github.com/binderyhq/bindery/core/internal/rowset"
)

// routes say which feeds the changes of a table concern: the table's own, and those that
// depend on it or show its rows. It is immutable; each change of the declarations makes a
// new one.
type routes struct {
	order  []*feed.Feed
	feeds  map[driver.Table]*feedRoutes // by the feed's own table
	tables []driver.Table               // the keys of heard, in the order of declaration
	heard  map[driver.Table]*heardTable
}

// feedRoutes has the tables whose changes concern a feed, and the feed's mode.
type feedRoutes struct {
	hears []driver.Table
	mode  feed.Mode
}

// heardTable is a table whose changes concern some feed.
type heardTable struct {
	routes []route
	// own is the first declaration on the table itself. shows is the first whose rows
	// show rows of the table. They are nil if there is none.
	own, shows *rowset.Member
}

// route is how a change reaches a feed.
type route struct {
	*feed.Feed
	// own: the keys are keys of the feed's own rows. related: they are keys of rows that
	// the feed's rows show. Both are true if rows show other rows of their table.
	own, related bool
	// derived: every read of the feed is a full read, see [feed.Mode]. The feed then
	// needs no announcements.
	derived bool
	// lagging: writers do not wait for the feed.
	lagging bool
}

func newRoutes(feeds []*feedRun) *routes {
	r := &routes{feeds: make(map[driver.Table]*feedRoutes), heard: make(map[driver.Table]*heardTable)}
	for _, run := range feeds {
		r.order = append(r.order, run.Feed)
		r.add(run.Feed)
	}
	return r
}

// add adds the routes of the feed's declarations.
func (r *routes) add(f *feed.Feed) {
	to := &feedRoutes{}
	r.feeds[f.Table] = to
	shown := make(map[driver.Table]*rowset.Member)
	declared, awaited := f.Declarations(), false
	for _, v := range declared {
		schema := v.Schema()
		if len(schema.Depends) > 0 {
			to.mode.Derived = true
			to.mode.Interval = max(to.mode.Interval, v.Spec.MinInterval)
			awaited = awaited || v.Spec.Awaited
		}
		for _, rel := range v.RelatedTables() {
			if shown[rel.Schema.Table] == nil {
				shown[rel.Schema.Table] = v
			}
		}
		for _, t := range v.Tables() {
			if !slices.Contains(to.hears, t) {
				to.hears = append(to.hears, t)
			}
		}
	}
	to.mode.Lagging = to.mode.Derived && !awaited
	for _, t := range to.hears {
		h := r.heard[t]
		if h == nil {
			h = &heardTable{}
			r.heard[t] = h
			r.tables = append(r.tables, t)
		}
		one := route{Feed: f, own: true, derived: to.mode.Derived, lagging: to.mode.Lagging}
		if !one.derived {
			one.own, one.related = f.Table == t, shown[t] != nil
		}
		h.routes = append(h.routes, one)
		if f.Table == t {
			h.own = declared[0]
		}
		if h.shows == nil {
			h.shows = shown[t]
		}
	}
}

// of returns the routes of a change of the table. A table without a name stands for every
// table of the schema, or of the database if the schema is empty too.
func (r *routes) of(t driver.Table) []route {
	if t.Name != "" {
		if h := r.heard[t]; h != nil {
			return h.routes
		}
		return nil
	}
	var out []route
	seen := make(map[*feed.Feed]bool)
	for _, table := range r.tables {
		if table.Database != t.Database || t.Schema != "" && t.Schema != table.Schema {
			continue
		}
		for _, one := range r.heard[table].routes {
			if !seen[one.Feed] {
				seen[one.Feed] = true
				one.own, one.related = true, false
				out = append(out, one)
			}
		}
	}
	return out
}

// hears returns the tables whose changes concern the feed of table t.
func (r *routes) hears(t driver.Table) []driver.Table {
	if to := r.feeds[t]; to != nil {
		return to.hears
	}
	return nil
}

// asksLike reports whether sources must watch the same tables for the same purposes.
func (r *routes) asksLike(o *routes) bool {
	return maps.EqualFunc(r.heard, o.heard, func(a, b *heardTable) bool {
		return (a.own == nil) == (b.own == nil) && (a.shows == nil) == (b.shows == nil)
	})
}

// schemas returns the schemas of all tables whose changes concern a feed, in the order of
// declaration, as loaders know them now. A table that bindings only depend on has no columns
// and no key.
func (r *routes) schemas() []driver.Schema {
	schemas := make([]driver.Schema, len(r.tables))
	for i, t := range r.tables {
		h := r.heard[t]
		schemas[i].Table = t
		if h.shows != nil {
			for _, rel := range h.shows.RelatedTables() {
				if rel.Schema.Table == t {
					schemas[i] = rel.Schema
					break
				}
			}
		}
		if h.own != nil {
			schemas[i] = h.own.Schema()
		}
		schemas[i].Shown = h.shows != nil
	}
	return schemas
}
