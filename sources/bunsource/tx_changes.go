package bunsource

import (
	"maps"
	"slices"
	"strings"

	"github.com/binderyhq/bindery/core/driver"
)

// maxTables is how many tables a transaction's changes are kept apart for;
// beyond it every table is reported.
const maxTables = 256

// changeSet gathers what a transaction has written. It keeps tables as the
// statements spell them: which bound tables that means is asked when the
// changes are reported, for a binding may have been added since.
//
// The zero value is empty. A changeSet is not safe for concurrent use.
type changeSet struct {
	any    bool // every table
	tables map[tableName]*tableChanges
}

// tableChanges are the changes of one table: all of it, or the keys by bound
// table. A bound table that is not among them may have changed anywhere.
type tableChanges struct {
	whole bool
	keys  map[driver.Table]map[driver.Key]struct{}
}

func (c *changeSet) empty() bool { return !c.any && len(c.tables) == 0 }

func (c *changeSet) clear() { *c = changeSet{} }

func (c *changeSet) addAny() { *c = changeSet{any: true} }

func (c *changeSet) table(name tableName) *tableChanges {
	if c.any {
		return nil
	}
	t := c.tables[name]
	if t == nil {
		if len(c.tables) == maxTables {
			c.addAny()
			return nil
		}
		if c.tables == nil {
			c.tables = make(map[tableName]*tableChanges)
		}
		t = &tableChanges{}
		c.tables[name] = t
	}
	return t
}

// addWhole adds all of a table.
func (c *changeSet) addWhole(name tableName) {
	if t := c.table(name); t != nil {
		t.whole, t.keys = true, nil
	}
}

// addKeys adds rows of a bound table that the name stands for.
func (c *changeSet) addKeys(name tableName, bound driver.Table, keys ...driver.Key) {
	t := c.table(name)
	if t == nil || t.whole {
		return
	}
	set := t.keys[bound]
	if set == nil {
		if t.keys == nil {
			t.keys = make(map[driver.Table]map[driver.Key]struct{}, 1)
		}
		set = make(map[driver.Key]struct{}, len(keys))
		t.keys[bound] = set
	}
	for _, k := range keys {
		set[k] = struct{}{}
	}
	if len(set) > maxKeys {
		t.whole, t.keys = true, nil
	}
}

// merge adds all of another set.
func (c *changeSet) merge(o *changeSet) {
	if o.any {
		c.addAny()
		return
	}
	for name, t := range o.tables {
		if t.whole {
			c.addWhole(name)
			continue
		}
		c.table(name) // known to be written, although nothing may be bound
		for bound, keys := range t.keys {
			c.addKeys(name, bound, slices.Collect(maps.Keys(keys))...)
		}
	}
}

// changes returns what the set means for the tables bound now. Every call
// makes slices of its own.
func (c *changeSet) changes(b *boundTables) []driver.Change {
	if c.any {
		return b.everything()
	}
	var out []driver.Change
	for name, t := range c.tables {
		for _, s := range b.match(name) {
			keys, known := t.keys[s.Table]
			switch {
			case t.whole || !known:
				out = append(out, driver.Change{Table: s.Table})
			case len(keys) > 0:
				out = append(out, driver.Change{Table: s.Table, Keys: slices.Collect(maps.Keys(keys))})
			}
		}
	}
	return out
}

// single reports whether the changes are those of one row that no other shows,
// which no reader can see a part of.
func (b *boundTables) single(changes []driver.Change) bool {
	return len(changes) == 1 && len(changes[0].Keys) == 1 && !b.shown(changes[0].Table)
}

// shown reports whether rows of others show those of the table.
func (b *boundTables) shown(table driver.Table) bool {
	return slices.ContainsFunc(b.byName[strings.ToLower(table.Name)], func(s *driver.Schema) bool {
		return s.Shown && s.Table == table
	})
}

// cloneChanges returns a copy that shares no slice.
func cloneChanges(changes []driver.Change) []driver.Change {
	out := slices.Clone(changes)
	for i := range out {
		out[i].Keys = slices.Clone(out[i].Keys) // nil stays nil
	}
	return out
}
