package fanout

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// Tables are the tables of one database that are bound in any registry that
// watches. It is immutable, and safe for concurrent use.
type Tables struct {
	database string
	schemas  []*driver.Schema            // sorted by name and schema, each table once
	byName   map[string][]*driver.Schema // by name in lower case
	changed  []<-chan struct{}
	read     time.Time
}

// freshFor bounds the age of the list of bound tables while no binding comes or goes,
// because a loader may have learned more about its columns.
const freshFor = time.Second

func newTables(database string, sinks []*Attachment) *Tables {
	b := &Tables{database: database, byName: make(map[string][]*driver.Schema), read: time.Now()}
	for _, a := range sinks {
		schemas, changed := a.Sink.Tables()
		b.changed = append(b.changed, changed)
		for i := range schemas {
			b.add(&schemas[i])
		}
	}
	for _, same := range b.byName {
		b.schemas = append(b.schemas, same...)
	}
	slices.SortFunc(b.schemas, compare)
	return b
}

func compare(x, y *driver.Schema) int {
	return cmp.Or(cmp.Compare(x.Table.Name, y.Table.Name), cmp.Compare(x.Table.Schema, y.Table.Schema))
}

// fresh reports whether the list is younger than freshFor, and no binding has come or
// gone since.
func (b *Tables) fresh() bool {
	for _, c := range b.changed {
		select {
		case <-c:
			return false
		default:
		}
	}
	return time.Since(b.read) < freshFor
}

func (b *Tables) add(s *driver.Schema) {
	if s.Table.Database != b.database {
		return
	}
	name := strings.ToLower(s.Table.Name)
	for i, have := range b.byName[name] {
		if have.Table == s.Table {
			b.byName[name][i] = merged(have, s)
			return
		}
	}
	b.byName[name] = append(b.byName[name], s)
	slices.SortFunc(b.byName[name], compare)
}

// merged returns the schema of a table that two registries bind: the one with
// fewer columns, so that both know all of them, and without a key if their keys
// differ. The table counts as shown by other rows if either schema says so.
func merged(x, y *driver.Schema) *driver.Schema {
	m := *x
	if len(y.Columns) < len(x.Columns) {
		m = *y
	}
	if !slices.Equal(x.Key, y.Key) {
		m.Columns, m.Key = nil, nil
	}
	m.Shown = x.Shown || y.Shown
	return &m
}

// Schemas returns the bound tables, each once, sorted by name. The caller must not
// modify the result.
func (b *Tables) Schemas() []*driver.Schema { return b.schemas }

// Match returns the bound tables that a name in SQL text may mean. Names match in any
// case, and a schema missing on either side matches any: reporting too much only costs
// a read.
func (b *Tables) Match(schema, name string) []*driver.Schema {
	all := b.byName[strings.ToLower(name)]
	if schema == "" {
		return all
	}
	matches := func(s *driver.Schema) bool { return s.Table.Schema == "" || strings.EqualFold(s.Table.Schema, schema) }
	for i, s := range all {
		if !matches(s) {
			return append(slices.Clone(all[:i]), slices.DeleteFunc(slices.Clone(all[i:]), func(s *driver.Schema) bool { return !matches(s) })...)
		}
	}
	return all
}

// Everything returns the change of every table of the database.
func (b *Tables) Everything() []driver.Change {
	return []driver.Change{{Table: driver.Table{Database: b.database}}}
}

// Single reports whether only one row changes, and no other rows show it. Then no
// reader can see a part of the changes.
func (b *Tables) Single(changes []driver.Change) bool {
	return len(changes) == 1 && len(changes[0].Keys) == 1 && !b.shown(changes[0].Table)
}

// shown reports whether rows of other tables show rows of the table.
func (b *Tables) shown(table driver.Table) bool {
	return slices.ContainsFunc(b.byName[strings.ToLower(table.Name)], func(s *driver.Schema) bool {
		return s.Shown && s.Table == table
	})
}

// SameAs reports whether both hold the same tables with the same columns and
// keys.
func (b *Tables) SameAs(o *Tables) bool {
	return b == o || slices.EqualFunc(b.schemas, o.schemas, func(x, y *driver.Schema) bool {
		return x.Table == y.Table && slices.Equal(x.Key, y.Key) && slices.EqualFunc(x.Columns, y.Columns,
			func(a, b driver.Column) bool { return a.Name == b.Name && a.Kind == b.Kind })
	})
}
