package bunsource

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/schema"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

// model is what a loader knows about its Go type and its table. It is
// immutable: what the database tells later makes a new model, see
// [model.refine].
type model struct {
	db      *bun.DB
	table   *schema.Table
	schema  driver.Schema
	columns []modelColumn // parallel to schema.Columns
	keys    []int         // the positions of the key columns, in key order
	times   []timeField
	limits  batchLimits

	// The relations that rows show. A hop stands behind the one that leads to its
	// table.
	hops   []hop
	tables []relatedTable
}

// modelColumn is one column, as Bun, Go and the database see it.
type modelColumn struct {
	field *schema.Field
	facts columnFacts
	// sql is the column qualified by the table's alias, ready for a statement.
	sql string
	// class is the storage class that values must have for the column to be
	// exact, where SQLite would store others too; "" otherwise.
	class string
	// nulls says how NULL arrives in the Go field.
	nulls nullReading
	// read reads the column's value from the struct, which is addressable.
	read func(strct reflect.Value) value.Value
}

// newModel describes a Go type whose table is in the named database. Whatever Bun panics about becomes an error, so
// that all mistakes of a program are reported together.
func newModel(db *bun.DB, database string, typ reflect.Type) (m *model, err error) {
	defer func() {
		if p := recover(); p != nil {
			m, err = nil, modelError(typ, fmt.Errorf("%v", p))
		}
	}()
	switch {
	case db == nil:
		return nil, modelError(typ, errors.New("the *bun.DB is nil"))
	case typ.Kind() != reflect.Struct:
		return nil, modelError(typ, errors.New("a binding needs a struct, not a "+typ.Kind().String()))
	}
	table := db.Table(typ)
	if len(table.PKs) == 0 {
		return nil, modelError(typ, fmt.Errorf("table %q has no primary key: mark the key's fields with `bun:\",pk\"`", table.Name))
	}
	m = &model{db: db, table: table, limits: limitsOf(db.Dialect().Name())}
	m.schema.Table = tableOf(table)
	m.schema.Table.Database = database
	m.addColumns(typ, table.Fields)
	for _, pk := range table.PKs {
		m.schema.Key = append(m.schema.Key, pk.Name)
		m.keys = append(m.keys, m.schema.Column(pk.Name))
	}
	for i := range m.columns {
		m.describe(i, columnState{})
	}
	return m, nil
}

// addColumns makes fields of the Go type the model's columns.
func (m *model) addColumns(typ reflect.Type, fields []*schema.Field) {
	names := jsonNames(typ)
	for _, f := range fields {
		c := driver.Column{Name: f.Name, JSON: names[indexPath(f.Index)]}
		if c.JSON == "" {
			c.Path = jsonPath(typ, f.Index)
		}
		m.schema.Columns = append(m.schema.Columns, c)
		m.columns = append(m.columns, modelColumn{field: f, sql: string(m.table.SQLAlias) + "." + string(f.SQLName)})
		if t, ok := newTimeField(f); ok {
			m.times = append(m.times, t)
		}
	}
}

func modelError(typ reflect.Type, cause error) error {
	return fmt.Errorf("bunsource: reading model %q: %w", typ, cause)
}

// tableOf names a Bun table as the engine does. A schema is only told where
// the model's tag does: an unqualified name is the connection's to resolve.
func tableOf(t *schema.Table) driver.Table {
	name := driver.Table{Name: t.Name}
	if s, n, ok := strings.Cut(t.Name, "."); ok && !strings.Contains(n, ".") {
		name.Schema, name.Name = s, n
	}
	return name
}

// columnState is what the database says about a column.
type columnState struct {
	columnFacts
	NotNull bool
	// Default: the database fills the column in when an insert leaves it out.
	Default bool
	// Generated: nobody else may.
	Generated bool
	// Computed: an update may change the column without naming it.
	Computed bool
	// Loose: SQLite would store values of any storage class.
	Loose bool
	// RowID: it is the number by which SQLite keeps the row, and always an integer.
	RowID bool
}

// describe fills in what follows from the facts about column i.
func (m *model) describe(i int, state columnState) {
	c, pub := &m.columns[i], &m.schema.Columns[i]
	c.facts = state.columnFacts
	pub.Kind, pub.Exact = columnTraits(m.db.Dialect().Name(), c.field, c.facts)
	if state == (columnState{}) { // not asked yet: as the model's tags have it
		pub.Nullable = !c.field.NotNull
		pub.Default = c.field.AutoIncrement || c.field.Identity || c.field.SQLDefault != ""
	} else {
		pub.Nullable, pub.Default, pub.Generated, pub.Computed = !state.NotNull, state.Default, state.Generated, state.Computed
	}
	c.read, c.nulls = columnReader(c.field, pub.Kind, pub.Nullable)
	if !state.NotNull && c.nulls != nullsTold {
		// In Go such a row has a value where the database has NULL, and every
		// comparison is decided differently.
		pub.Exact = 0
	}
	if m.table.HasAfterScanRowHook() || m.table.HasBeforeScanRowHook() {
		pub.Exact = 0 // the hook may change what was read, and the database knows nothing of it
	}
	c.class = ""
	if state.Loose && pub.Exact != 0 {
		c.class = sqliteClasses[sqliteAffinity(c.facts.SQLType)]
	}
	m.describeSpelling(i)
	m.describeLiterals(i)
}

// refine returns the model as it is in the light of what the database says
// about the table's columns. The error names the columns that the table lacks.
func (m *model) refine(found []tableColumn) (*model, error) {
	r := *m
	r.schema.Columns = slices.Clone(m.schema.Columns)
	r.columns = slices.Clone(m.columns)
	var missing []string
	for i, c := range r.schema.Columns {
		at := slices.IndexFunc(found, func(f tableColumn) bool {
			return f.name == c.Name || m.foldsNames() && strings.EqualFold(f.name, c.Name)
		})
		if at < 0 {
			missing = append(missing, fmt.Sprintf("it has no column %q for the field %s", c.Name, r.columns[i].field.GoName))
			continue
		}
		r.describe(i, found[at].state)
	}
	if len(missing) > 0 {
		names := make([]string, len(found))
		for i, f := range found {
			names[i] = f.name
		}
		return nil, fmt.Errorf("%s (its columns are %s)", strings.Join(missing, "; "), strings.Join(names, ", "))
	}
	return &r, nil
}

// foldsNames reports whether the database ignores case in column names.
func (m *model) foldsNames() bool {
	name := m.db.Dialect().Name()
	return name == dialect.SQLite || name == dialect.MySQL
}

// exactKeys reports whether a row that the database finds by a key is certain
// to have that key, to the byte.
func (m *model) exactKeys() bool {
	for _, i := range m.keys {
		if m.schema.Columns[i].Exact&filter.ExactEqual == 0 {
			return false
		}
	}
	return true
}

// keyOf returns the row's key.
func (m *model) keyOf(strct reflect.Value) driver.Key {
	var enc []byte
	for _, i := range m.keys {
		enc = m.columns[i].read(strct).AppendOrdered(enc)
	}
	return driver.Key(enc)
}

// indexPath makes a field's index a map key.
func indexPath(index []int) string { return fmt.Sprint(index) }
