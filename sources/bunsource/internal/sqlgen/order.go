package sqlgen

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/bunsource/internal/exact"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
)

// orderBy returns the terms of an ORDER BY that orders rows as the engine
// does in memory. A term is a plain column wherever possible, so that the database can
// use an index.
func orderBy(m *model.Model, order []driver.Order) ([]string, error) {
	var terms []string
	for _, o := range order {
		i := m.Schema.Column(o.Column)
		if i < 0 {
			return nil, fmt.Errorf("ordering by %q: the table has no such column", o.Column)
		}
		exprs, err := orderExprs(m, i)
		if o.Collation != "" {
			exprs, err = collate(m, i, o.Collation)
		}
		if err != nil {
			return nil, err
		}
		for _, e := range exprs {
			terms = append(terms, orderTerm(m, i, e, o)...)
		}
	}
	return terms, nil
}

// orderTerm places NULLs and gives the direction.
func orderTerm(m *model.Model, i int, expr string, o driver.Order) []string {
	dir := " ASC"
	if o.Desc {
		dir = " DESC"
	}
	first := o.Nulls == driver.NullsFirst || o.Nulls == driver.NullsLowest && !o.Desc
	c := m.Columns[i]
	if !m.Schema.Columns[i].Nullable && c.Facts.Known || c.Nulls == model.NullsAsZero && zeroLiteral(m, m.Schema.Columns[i].Kind) != "" {
		return []string{expr + dir} // there are none
	}
	name := m.DB.Dialect().Name()
	lowest := name != dialect.PG && name != dialect.Oracle // the database puts NULLs first by itself
	if first == (lowest != o.Desc) {
		return []string{expr + dir}
	}
	switch name {
	case dialect.PG, dialect.SQLite, dialect.Oracle:
		return []string{expr + dir + map[bool]string{true: " NULLS FIRST", false: " NULLS LAST"}[first]}
	}
	nullsDir := map[bool]string{true: "0 ELSE 1", false: "1 ELSE 0"}[first]
	return []string{"CASE WHEN " + expr + " IS NULL THEN " + nullsDir + " END", expr + dir}
}

// orderExprs returns what to order by, most significant first, so that the
// values of column i come in the order that package value defines.
func orderExprs(m *model.Model, i int) ([]string, error) {
	c, pub := m.Columns[i], m.Schema.Columns[i]
	if slices.Contains(m.Schema.Key, pub.Name) {
		// SQLite lets most keys be NULL, but no binding has such a row. So an index
		// that ends with the key gives the order.
		pub.Nullable = false
	}
	switch m.DB.Dialect().Name() {
	case dialect.PG:
		return orderPostgres(m, c, pub)
	case dialect.SQLite:
		return orderSQLite(m, c, pub)
	}
	switch pub.Kind {
	case value.KindOpaque:
		return nil, unorderable(c, pub)
	case value.KindText:
		// Binary, since the _bin collations ignore trailing spaces.
		return []string{"CAST(CONVERT(" + withNulls(m, c.SQL, "''", c, pub) + " USING utf8mb4) AS BINARY)"}, nil
	case value.KindBool:
		return []string{"(" + withNulls(m, c.SQL, "0", c, pub) + " <> 0)"}, nil // every number but 0 is true
	}
	return []string{withNulls(m, c.SQL, zeroLiteral(m, pub.Kind), c, pub)}, nil
}

// Collated reports whether only the database knows the order.
func Collated(order []driver.Order) bool {
	return slices.ContainsFunc(order, func(o driver.Order) bool { return o.Collation != "" })
}

// collate returns the terms that order text under one of the database's collations.
// They treat NULL and the zero value of column i as Go does, so that a row whose field
// is unchanged keeps its place.
func collate(m *model.Model, i int, collation string) ([]string, error) {
	c, pub, name := m.Columns[i], m.Schema.Columns[i], m.DB.Dialect().Name()
	if pub.Kind != value.KindText {
		return nil, fmt.Errorf("ordering by column %q of type %q under a collation: it holds no text", pub.Name, c.Facts.SQLType)
	}
	col := c.SQL
	if name == dialect.PG {
		col = "(" + col + ")::text" // no change to a text column, see orderPostgres
	}
	expr := withNulls(m, col, "''", c, pub)
	if collation != driver.ColumnCollation {
		return []string{expr + m.DB.QueryGen().FormatQuery(" COLLATE ?", bun.Name(collation))}, nil
	}
	if expr != col && name == dialect.SQLite {
		// Of an expression SQLite does not know whose collation it has.
		return nil, fmt.Errorf("ordering by column %q under its own collation: its field does not tell NULL from \"\": declare it NOT NULL, use a pointer, or name the collation", pub.Name)
	}
	return []string{expr}, nil
}

func orderPostgres(m *model.Model, c model.Column, pub driver.Column) ([]string, error) {
	stored, known := pgKinds[exact.BaseType(c.Facts.SQLType)]
	number := func(k value.Kind) bool {
		return k == value.KindInt || k == value.KindFloat || k == value.KindDecimal
	}
	zero := zeroLiteral(m, pub.Kind)
	switch {
	case pub.Kind == value.KindText:
		// The cast lets types that are texts in Go only (uuid, enums) have a
		// collation; a text column is left as it is.
		return []string{withNulls(m, "("+c.SQL+")::text", "''", c, pub) + ` COLLATE "C"`}, nil
	case pub.Kind == value.KindOpaque:
		return nil, unorderable(c, pub)
	case !c.Facts.Known, stored == pub.Kind, number(stored) && number(pub.Kind):
	case pub.Kind == value.KindBool && stored == value.KindInt:
		zero = "0"
	case !known && number(pub.Kind) && exact.PGNumbers[exact.BaseType(c.Facts.SQLType)]: // oid
	default:
		return nil, unorderable(c, pub)
	}
	return []string{withNulls(m, c.SQL, zero, c, pub)}, nil
}

func orderSQLite(m *model.Model, c model.Column, pub driver.Column) ([]string, error) {
	known, aff := c.Facts.Known, exact.SQLiteAffinity(c.Facts.SQLType)
	col := withNulls(m, c.SQL, zeroLiteral(m, pub.Kind), c, pub)
	switch pub.Kind {
	case value.KindOpaque:
		return nil, unorderable(c, pub)
	case value.KindText:
		if !known || aff != exact.AffinityText {
			col = "CAST(" + col + " AS TEXT)" // where numbers would come first
		}
		return []string{col + " COLLATE BINARY"}, nil
	case value.KindBool:
		return []string{"(" + col + " <> 0)"}, nil // every number but 0 is true
	case value.KindTime:
		// Texts of whatever form and zone are ordered by their instants; the last
		// term is for those that SQLite does not read as times.
		instant := strings.NewReplacer(ColumnMark, col)
		return []string{instant.Replace(SQLiteSecond), instant.Replace(SQLiteFraction), col}, nil
	case value.KindInt, value.KindFloat, value.KindDecimal:
		if !known || aff == exact.AffinityText || aff == exact.AffinityBlob {
			return []string{"CAST(" + col + " AS NUMERIC)"}, nil // where texts would come last
		}
	}
	return []string{col}, nil
}

func unorderable(c model.Column, pub driver.Column) error {
	return fmt.Errorf("ordering by column %q of type %q: Go does not order such values as the database does", pub.Name, c.Facts.SQLType)
}

// withNulls treats NULL as Go does: a field that cannot tell them apart shows NULL as
// zero, or zero as NULL.
func withNulls(m *model.Model, col, zero string, c model.Column, pub driver.Column) string {
	switch {
	case zero == "" || !pub.Nullable && c.Facts.Known:
	case c.Nulls == model.NullsAsZero:
		return "COALESCE(" + col + ", " + zero + ")"
	case c.Nulls == model.ZeroAsNull:
		return "NULLIF(" + col + ", " + zero + ")"
	}
	return col
}

// zeroLiteral returns the zero value of Go's types of the kind; "" if they
// have none in common.
func zeroLiteral(m *model.Model, k value.Kind) string {
	d := m.DB.Dialect()
	switch k {
	case value.KindBool:
		return string(d.AppendBool(nil, false))
	case value.KindInt, value.KindFloat, value.KindDecimal:
		return "0"
	case value.KindText:
		return "''"
	case value.KindTime:
		return string(d.AppendTime(nil, time.Time{}))
	}
	return ""
}

// Comparer returns how the engine compares two rows, given the values of the
// order's columns.
func Comparer(order []driver.Order) func(a, b []value.Value) int {
	return func(a, b []value.Value) int {
		for i, o := range order {
			if c := compareOrdered(a[i], b[i], o); c != 0 {
				return c
			}
		}
		return 0
	}
}

func compareOrdered(a, b value.Value, o driver.Order) int {
	if a.IsNull() != b.IsNull() && o.Nulls != driver.NullsLowest {
		if a.IsNull() == (o.Nulls == driver.NullsFirst) {
			return -1
		}
		return 1
	}
	c := value.Compare(a, b)
	if o.Desc {
		return -c
	}
	return c
}

// ColumnsOf returns the positions of an order's columns. They must exist.
func ColumnsOf(m *model.Model, order []driver.Order) []int {
	cols := make([]int, len(order))
	for i, o := range order {
		cols[i] = m.Schema.Column(o.Column)
	}
	return cols
}
