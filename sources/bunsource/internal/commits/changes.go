package commits

import (
	"maps"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/keyproof"
	"github.com/binderyhq/bindery/sources/internal/fanout"
	"github.com/binderyhq/bindery/sources/internal/sqltext"
)

// maxTables bounds the tables whose changes one transaction records one by one;
// beyond it every table is reported.
const maxTables = 256

// ChangeSet gathers a transaction's writes. It keeps tables as the statements spell
// them. [ChangeSet.Changes] looks for the bound tables, because a binding may have
// been added since the write.
//
// The zero value is empty. A ChangeSet is not safe for concurrent use.
type ChangeSet struct {
	any    bool // every table
	tables map[sqltext.Table]*tableChanges
}

// tableChanges are the changes of one table: all of it, or the keys by bound
// table. In a bound table without an entry, any row may have changed.
type tableChanges struct {
	whole bool
	keys  map[driver.Table]map[driver.Key]struct{}
}

// Empty reports whether nothing was written.
func (c *ChangeSet) Empty() bool { return !c.any && len(c.tables) == 0 }

// Clear forgets everything.
func (c *ChangeSet) Clear() { *c = ChangeSet{} }

func (c *ChangeSet) addAny() { *c = ChangeSet{any: true} }

func (c *ChangeSet) table(name sqltext.Table) *tableChanges {
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
			c.tables = make(map[sqltext.Table]*tableChanges)
		}
		t = &tableChanges{}
		c.tables[name] = t
	}
	return t
}

// addWhole adds all of a table.
func (c *ChangeSet) addWhole(name sqltext.Table) {
	if t := c.table(name); t != nil {
		t.whole, t.keys = true, nil
	}
}

// addKeys adds keys of the bound table that the name means.
func (c *ChangeSet) addKeys(name sqltext.Table, bound driver.Table, keys ...driver.Key) {
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
	if len(set) > keyproof.MaxKeys {
		t.whole, t.keys = true, nil
	}
}

// Merge adds all of another set.
func (c *ChangeSet) Merge(o *ChangeSet) {
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

// AddEffect adds what a statement may change.
func (c *ChangeSet) AddEffect(e *keyproof.Effect) {
	if e.Any() {
		c.addAny()
		return
	}
	e.Each(func(name sqltext.Table, s *driver.Schema, keys []driver.Key, known bool) {
		switch {
		case s == nil:
			c.table(name)
		case known:
			c.addKeys(name, s.Table, keys...)
		default:
			c.addWhole(name)
		}
	})
}

// Changes returns the changes of the tables bound now, in new slices.
func (c *ChangeSet) Changes(b *fanout.Tables) []driver.Change {
	if c.any {
		return b.Everything()
	}
	var out []driver.Change
	for name, t := range c.tables {
		for _, s := range b.Match(name.Schema, name.Name) {
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
