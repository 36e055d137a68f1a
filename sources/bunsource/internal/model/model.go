package model

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/bunsource/internal/exact"
)

// Model is what a loader knows about its Go type and its table. It is
// immutable: what the database tells later makes a new model, see
// [Model.Refine].
type Model struct {
	DB      *bun.DB
	Table   *schema.Table
	Schema  driver.Schema
	Columns []Column // parallel to Schema.Columns
	Keys    []int    // the positions of the key columns, in key order
	times   []timeField
	Limits  BatchLimits

	// The relations that rows show. A relation stands behind the one that leads to its
	// table.
	Relations []Relation
	Tables    []RelatedTable
}

// Column is one column, as Bun, Go and the database see it.
type Column struct {
	Field *schema.Field
	Facts exact.Facts
	// SQL is the column qualified by the table's alias, ready for a statement.
	SQL string
	// Class is the storage class that values must have for the column to be
	// exact, where SQLite would store others too; "" otherwise.
	Class string
	// Rounds is the size in bits of the float that rows show rounded numbers as; 0 if
	// they show the numbers as the database has them.
	Rounds int
	// Nulls says how NULL arrives in the Go field.
	Nulls NullReading
	// Read reads the column's value from the struct, which is addressable.
	Read func(strct reflect.Value) value.Value
}

// New describes a Go type whose table is in the named database. Whatever Bun panics
// about becomes an error, so that all mistakes of a program are reported together.
func New(db *bun.DB, database string, typ reflect.Type) (m *Model, err error) {
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
	m = &Model{DB: db, Table: table, Limits: LimitsOf(db.Dialect().Name())}
	m.Schema.Table = TableOf(table)
	m.Schema.Table.Database = database
	m.AddColumns(typ, table.Fields)
	for _, pk := range table.PKs {
		m.Schema.Key = append(m.Schema.Key, pk.Name)
		m.Keys = append(m.Keys, m.Schema.Column(pk.Name))
	}
	for i := range m.Columns {
		m.Describe(i, State{})
	}
	return m, nil
}

// AddColumns makes fields of the Go type the model's columns.
func (m *Model) AddColumns(typ reflect.Type, fields []*schema.Field) {
	names := jsonNames(typ)
	for _, f := range fields {
		c := driver.Column{Name: f.Name, JSON: names[indexPath(f.Index)]}
		if c.JSON == "" {
			c.Path = jsonPath(typ, f.Index)
		}
		m.Schema.Columns = append(m.Schema.Columns, c)
		m.Columns = append(m.Columns, Column{Field: f, SQL: string(m.Table.SQLAlias) + "." + string(f.SQLName)})
		if t, ok := newTimeField(f); ok {
			m.times = append(m.times, t)
		}
	}
}

func modelError(typ reflect.Type, cause error) error {
	return fmt.Errorf("bunsource: reading model %q: %w", typ, cause)
}

// TableOf names a Bun table as the engine does. It has a schema only if the model's
// tag has one: the connection resolves an unqualified name.
func TableOf(t *schema.Table) driver.Table {
	name := driver.Table{Name: t.Name}
	if s, n, ok := strings.Cut(t.Name, "."); ok && !strings.Contains(n, ".") {
		name.Schema, name.Name = s, n
	}
	return name
}

// ExactKeys reports whether every row that the database finds by a key has exactly
// that key, byte for byte.
func (m *Model) ExactKeys() bool {
	for _, i := range m.Keys {
		if m.Schema.Columns[i].Exact&filter.ExactEqual == 0 {
			return false
		}
	}
	return true
}

// KeyOf returns the row's key.
func (m *Model) KeyOf(strct reflect.Value) driver.Key {
	var enc []byte
	for _, i := range m.Keys {
		enc = m.Columns[i].Read(strct).AppendOrdered(enc)
	}
	return driver.Key(enc)
}

// indexPath makes a field's index a map key.
func indexPath(index []int) string { return fmt.Sprint(index) }
