package bunsource

import (
	"fmt"
	"time"

	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/value"
)

// orderBy returns the terms of an ORDER BY that orders rows as the engine
// does in memory. Where a plain column would do that, it is a plain column, so
// that the database can use an index.
func (m *model) orderBy(order []core.Order) ([]string, error) {
	var terms []string
	for _, o := range order {
		i := m.schema.Column(o.Column)
		if i < 0 {
			return nil, fmt.Errorf("ordering by %q: the table has no such column", o.Column)
		}
		exprs, err := m.orderExprs(i)
		if err != nil {
			return nil, err
		}
		for _, e := range exprs {
			terms = append(terms, m.orderTerm(i, e, o)...)
		}
	}
	return terms, nil
}

// orderTerm places NULLs and gives the direction.
func (m *model) orderTerm(i int, expr string, o core.Order) []string {
	dir := " ASC"
	if o.Desc {
		dir = " DESC"
	}
	first := o.Nulls == core.NullsFirst || o.Nulls == core.NullsLowest && !o.Desc
	c := m.columns[i]
	if !m.schema.Columns[i].Nullable && c.facts.Known || c.nulls == nullsAsZero {
		return []string{expr + dir} // there are none
	}
	name := m.db.Dialect().Name()
	lowest := name != dialect.PG && name != dialect.Oracle // where the database puts them by itself
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
func (m *model) orderExprs(i int) ([]string, error) {
	c, pub := m.columns[i], m.schema.Columns[i]
	name := m.db.Dialect().Name()
	col := c.sql
	if zero := m.zeroLiteral(pub.Kind); zero != "" && pub.Nullable {
		switch c.nulls {
		case nullsAsZero:
			col = "COALESCE(" + col + ", " + zero + ")"
		case zeroAsNull:
			col = "NULLIF(" + col + ", " + zero + ")"
		}
	}
	switch pub.Kind {
	case value.KindOpaque:
		return nil, fmt.Errorf("ordering by column %q of type %q: Go cannot order such values as the database does", pub.Name, c.facts.SQLType)
	case value.KindText:
		switch name {
		case dialect.PG:
			// The cast lets types that are texts in Go only (uuid, enums) have a
			// collation; a text column is left as it is.
			return []string{"(" + col + ")::text COLLATE \"C\""}, nil
		case dialect.SQLite:
			if hasNumericAffinity(c.facts.SQLType) || !c.facts.Known {
				return []string{"CAST(" + col + " AS TEXT) COLLATE BINARY"}, nil
			}
			return []string{col + " COLLATE BINARY"}, nil
		case dialect.MySQL:
			// Binary, since the _bin collations ignore trailing spaces.
			return []string{"CAST(CONVERT(" + col + " USING utf8mb4) AS BINARY)"}, nil
		}
	case value.KindBool:
		if name == dialect.SQLite || name == dialect.MySQL {
			return []string{"(" + col + " <> 0)"}, nil // where every number but 0 is true
		}
	case value.KindTime:
		if name == dialect.SQLite {
			// Texts in SQLite. The first term orders those written in different
			// forms and zones, to the millisecond; the second is exact among
			// those of one form.
			return []string{"julianday(" + col + ")", col}, nil
		}
	case value.KindDecimal:
		if m.comparesAsNumber(i) {
			return []string{"CAST(" + col + " AS NUMERIC)", col}, nil
		}
	}
	return []string{col}, nil
}

// zeroLiteral returns the zero value of Go's types of the kind; "" if they
// have none in common.
func (m *model) zeroLiteral(k value.Kind) string {
	d := m.db.Dialect()
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

// comparer returns how the engine compares two rows, given the values of the
// order's columns.
func comparer(order []core.Order) func(a, b []value.Value) int {
	return func(a, b []value.Value) int {
		for i, o := range order {
			if c := compareOrdered(a[i], b[i], o); c != 0 {
				return c
			}
		}
		return 0
	}
}

func compareOrdered(a, b value.Value, o core.Order) int {
	if a.IsNull() != b.IsNull() && o.Nulls != core.NullsLowest {
		if a.IsNull() == (o.Nulls == core.NullsFirst) {
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

// columnsOf returns the positions of an order's columns, which exist.
func (m *model) columnsOf(order []core.Order) []int {
	cols := make([]int, len(order))
	for i, o := range order {
		cols[i] = m.schema.Column(o.Column)
	}
	return cols
}
