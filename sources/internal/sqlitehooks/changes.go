package sqlitehooks

import (
	"maps"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/internal/fanout"
)

const (
	// maxKeys is how many keys of a table a transaction holds; beyond it the
	// whole table is reported.
	maxKeys = 1 << 16
	// maxTables is how many tables a transaction's changes are kept apart for.
	maxTables = 256
)

// tableRef is a table as SQLite names it.
type tableRef struct{ database, name string }

// changeSet gathers what a transaction has written. The zero value is empty.
type changeSet struct {
	any   bool // every table
	bound map[driver.Table]*rowSet
	// touched are all tables written, also those that nobody had bound then.
	touched map[tableRef]struct{}
}

// rowSet are rows of one bound table: nil keys mean all of them.
type rowSet struct{ keys map[driver.Key]struct{} }

func (c *changeSet) empty() bool { return !c.any && len(c.touched) == 0 && len(c.bound) == 0 }

func (c *changeSet) addAny() { *c = changeSet{any: true} }

// touch notes that a table was written.
func (c *changeSet) touch(ref tableRef) {
	if c.any {
		return
	}
	if c.touched == nil {
		c.touched = make(map[tableRef]struct{})
	}
	c.touched[ref] = struct{}{}
	if len(c.touched) > maxTables {
		c.addAny()
	}
}

func (c *changeSet) rows(t driver.Table) *rowSet {
	r := c.bound[t]
	if r == nil {
		if c.bound == nil {
			c.bound = make(map[driver.Table]*rowSet)
		}
		r = &rowSet{keys: make(map[driver.Key]struct{})}
		c.bound[t] = r
	}
	return r
}

func (c *changeSet) addWhole(t driver.Table) {
	if !c.any {
		c.rows(t).keys = nil
	}
}

func (c *changeSet) addKey(t driver.Table, k driver.Key) {
	if c.any {
		return
	}
	r := c.rows(t)
	if r.keys == nil {
		return
	}
	r.keys[k] = struct{}{}
	if len(r.keys) > maxKeys {
		r.keys = nil
	}
}

// merge adds all of another set.
func (c *changeSet) merge(o *changeSet) {
	if o.any {
		c.addAny()
		return
	}
	for ref := range o.touched {
		c.touch(ref)
	}
	for t, rows := range o.bound {
		if rows.keys == nil {
			c.addWhole(t)
		}
		for k := range rows.keys {
			c.addKey(t, k)
		}
	}
}

// changes returns what the set means for the tables bound now. A table that was
// bound only after something was written, so that the layout does not know it,
// is reported whole.
func (c *changeSet) changes(b *fanout.Tables, l *layout) []driver.Change {
	switch {
	case c.any:
		return b.Everything()
	case c.empty():
		return nil
	}
	var out []driver.Change
	for _, s := range b.Schemas() {
		t := s.Table
		rows := c.bound[t]
		switch {
		case rows != nil && rows.keys != nil:
			out = append(out, driver.Change{Table: t, Keys: slices.Collect(maps.Keys(rows.keys))})
		case rows != nil || c.touches(t) || !l.knows(t):
			out = append(out, driver.Change{Table: t})
		}
	}
	return out
}

func (c *changeSet) touches(t driver.Table) bool {
	for ref := range c.touched {
		if matches(t, ref) {
			return true
		}
	}
	return false
}
