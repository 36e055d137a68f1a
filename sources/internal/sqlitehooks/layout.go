package sqlitehooks

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/internal/fanout"
)

// layout says where in a row of SQLite's tables the keys of bound tables are,
// as one connection has found it. The hooks give the values of a row by
// position, and may not ask the database themselves. So the layout is read
// before, and after a commit the number of the schema tells whether it was
// right.
//
// A nil layout knows nothing: whatever is written, all bound tables are
// reported whole.
type layout struct {
	bound    *fanout.Tables
	versions []schemaVersion // of the databases attached when it was read
	tables   []boundLayout   // one for each of bound.Schemas()
	plans    map[tableRef][]target
}

// schemaVersion is the number that SQLite changes with the schema of a database.
type schemaVersion struct {
	database string
	number   int64
}

// boundLayout is what a bound table is in the database.
type boundLayout struct {
	derived bool // a view or virtual table, whose rows come from other tables
	real    []realTable
}

// realTable is a table that holds rows, in one of the databases attached.
type realTable struct {
	ref     tableRef
	columns int
	key     []int // positions of the key columns; nil if not all are usable
}

// target is what a change of a table's row means for a bound table.
type target struct {
	schema  *driver.Schema
	kinds   []value.Kind
	key     []int // nil: the bound table is reported whole
	columns int   // a row has so many
	reach   int   // the key is within so many
}

// readLayout reads the layout. It must not be called in a transaction: it would
// begin to read there.
func readLayout(ctx context.Context, conn sqldriver.QueryerContext, b *fanout.Tables) (*layout, error) {
	l := &layout{bound: b, plans: make(map[tableRef][]target)}
	// The numbers first: what changes in between is then noticed later.
	names, err := Query(ctx, conn, `SELECT name FROM pragma_database_list`)
	if err != nil {
		return nil, err
	}
	for _, row := range names {
		name, _ := row[0].(string)
		if name == tempDatabase {
			continue
		}
		number, err := schemaVersionOf(ctx, conn, name)
		if err != nil {
			return nil, err
		}
		l.versions = append(l.versions, schemaVersion{name, number})
	}
	known, err := Query(ctx, conn, `SELECT schema, name, type FROM pragma_table_list`)
	if err != nil {
		return nil, err
	}
	l.tables = make([]boundLayout, len(b.Schemas()))
	for i, s := range b.Schemas() {
		for _, row := range known {
			ref := tableRef{}
			ref.database, _ = row[0].(string)
			ref.name, _ = row[1].(string)
			if ref.database == tempDatabase || !matches(s.Table, ref) {
				continue
			}
			if kind, _ := row[2].(string); kind != "table" && kind != "shadow" {
				l.tables[i].derived = true
				continue
			}
			real, err := readTable(ctx, conn, ref, s.Key)
			if err != nil {
				return nil, err
			}
			l.tables[i].real = append(l.tables[i].real, real)
		}
	}
	return l, nil
}

func readTable(ctx context.Context, conn sqldriver.QueryerContext, ref tableRef, key []string) (realTable, error) {
	t := realTable{ref: ref}
	columns, err := Query(ctx, conn, `SELECT cid, name, hidden FROM pragma_table_xinfo(?, ?)`, ref.name, ref.database)
	if err != nil {
		return t, err
	}
	t.columns = len(columns)
	for _, k := range key {
		i := slices.IndexFunc(columns, func(row []sqldriver.Value) bool {
			name, _ := row[1].(string)
			// While a row is written SQLite has no true values of generated
			// columns to show.
			return strings.EqualFold(name, k) && row[2] == int64(0)
		})
		if i < 0 {
			t.key = nil
			return t, nil
		}
		cid, _ := columns[i][0].(int64)
		t.key = append(t.key, int(cid))
	}
	return t, nil
}

// current reports whether the schema is still the one that the layout was read
// from. It must not be called in a transaction.
func (l *layout) current(ctx context.Context, conn sqldriver.QueryerContext) bool {
	for _, v := range l.versions {
		if number, err := schemaVersionOf(ctx, conn, v.database); err != nil || number != v.number {
			return false
		}
	}
	return true
}

// knows reports whether the layout was read with the table bound.
func (l *layout) knows(t driver.Table) bool {
	return l != nil && slices.ContainsFunc(l.bound.Schemas(), func(s *driver.Schema) bool { return s.Table == t })
}

// plan says what a change of a row of the table means. b is what is bound now.
func (l *layout) plan(ref tableRef, b *fanout.Tables) []target {
	if l != nil && (l.bound == b || l.bound.SameAs(b)) {
		targets, ok := l.plans[ref]
		if !ok {
			targets = l.newPlan(ref)
			l.plans[ref] = targets
		}
		return targets
	}
	// Bindings have come or gone since: what is not known is reported whole.
	var targets []target
	if l != nil {
		targets = l.newPlan(ref)
	}
	for _, s := range b.Schemas() {
		if !l.knows(s.Table) {
			targets = append(targets, target{schema: s})
		}
	}
	return targets
}

func (l *layout) newPlan(ref tableRef) []target {
	attached := slices.ContainsFunc(l.versions, func(v schemaVersion) bool { return v.database == ref.database })
	var targets []target
	for i, t := range l.tables {
		s := l.bound.Schemas()[i]
		if t.derived || !attached && matches(s.Table, ref) {
			targets = append(targets, target{schema: s})
		}
		for _, real := range t.real {
			if real.ref != ref {
				continue
			}
			to := target{schema: s, key: real.key, columns: real.columns}
			for j, position := range real.key {
				to.reach = max(to.reach, position+1)
				to.kinds = append(to.kinds, s.Columns[s.Column(s.Key[j])].Kind)
			}
			targets = append(targets, to)
		}
	}
	return targets
}

// keyOf returns the key of a row of which the values up to t.reach are given.
// It reports false when that is not certain to be the key that a reader of the
// row would make.
func (t *target) keyOf(row []any) (driver.Key, bool) {
	values := make([]any, len(t.key))
	for i, position := range t.key {
		v := row[position]
		if kind := t.kinds[i]; kind == value.KindOpaque {
			return "", false
		} else if _, isFloat := v.(float64); isFloat && kind == value.KindText {
			return "", false // there is more than one way to spell it
		}
		values[i] = v
	}
	k, err := t.schema.MakeKey(values...)
	return k, err == nil
}

const tempDatabase = "temp"

func schemaVersionOf(ctx context.Context, conn sqldriver.QueryerContext, database string) (int64, error) {
	rows, err := Query(ctx, conn, `PRAGMA `+Quote(database)+`.schema_version`)
	if err != nil {
		return 0, err
	}
	if len(rows) != 1 {
		return 0, fmt.Errorf("sqlite: asking database %q for its schema_version: no answer", database)
	}
	number, _ := rows[0][0].(int64)
	return number, nil
}

// matches reports whether the bound table may be the table that SQLite names.
// A schema left out is whichever database SQLite finds the name in.
func matches(t driver.Table, ref tableRef) bool {
	return strings.EqualFold(t.Name, ref.name) && (t.Schema == "" || strings.EqualFold(t.Schema, ref.database))
}

// Quote quotes a name of SQLite's.
func Quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// Query runs a statement on the driver's connection and returns its rows.
func Query(ctx context.Context, conn sqldriver.QueryerContext, text string, args ...string) (out [][]sqldriver.Value, err error) {
	named := make([]sqldriver.NamedValue, len(args))
	for i, a := range args {
		named[i] = sqldriver.NamedValue{Ordinal: i + 1, Value: a}
	}
	rows, err := conn.QueryContext(ctx, text, named)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for {
		row := make([]sqldriver.Value, len(rows.Columns()))
		switch err := rows.Next(row); {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, err
		}
		out = append(out, row)
	}
}
