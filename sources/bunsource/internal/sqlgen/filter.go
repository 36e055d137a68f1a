package sqlgen

import (
	"fmt"
	"slices"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/bunsource/internal/exact"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
)

// Where returns a filter as a condition for Bun's Where, with the args for its
// placeholders. Where [filter.IsExact] holds, the database finds exactly the
// rows for which Go's evaluation is true: the literals are written so that
// nothing is rounded, truncated or reinterpreted on the way.
//
// The error names a column that the schema lacks, or a literal that does not
// convert to its column's kind; a filter that was checked has neither.
func Where(m *model.Model, e filter.Expr) (query string, args []any, err error) {
	return whereColumns(m.DB.Dialect().Name(), e, func(name string) (whereColumn, bool) {
		i := m.Schema.Column(name)
		if i < 0 {
			return whereColumn{}, false
		}
		c := whereColumn{name: name, kind: m.Schema.Columns[i].Kind, spell: m.Schema.Columns[i].Canonical, uuids: m.UUIDTexts(i), rounds: m.Columns[i].Rounds}
		if facts := m.Columns[i].Facts; facts.Known {
			c.sqlType, c.deterministic = facts.SQLType, facts.Deterministic
		}
		return c, true
	})
}

// whereColumn describes a column that a filter names.
type whereColumn struct {
	name string
	kind value.Kind
	// sqlType is the column's type in the database, "" while it is not known.
	// Literals get it as their type; columns of the type uuid or date are exact
	// only if it is known.
	sqlType string
	// deterministic says that under its collation different texts are never equal.
	deterministic bool
	// spell spells a literal as rows do; nil leaves it as it is.
	spell func(value.Value) value.Value
	// rounds is the size in bits of the float that rows show numbers rounded to, or 0.
	rounds int
	// uuids says that SQLite holds uuids in any of their forms.
	uuids bool
}

func whereColumns(d dialect.Name, e filter.Expr, column func(name string) (whereColumn, bool)) (string, []any, error) {
	w := whereWriter{dialect: d, column: column}
	if e == nil {
		e = filter.And()
	}
	if err := w.expr(e); err != nil {
		return "", nil, fmt.Errorf("bunsource: writing the filter %q as SQL: %w", e, err)
	}
	return w.query.String(), w.args, nil
}

// whereWriter writes one condition.
type whereWriter struct {
	dialect dialect.Name
	column  func(name string) (whereColumn, bool)
	query   strings.Builder
	args    []any
}

// write appends SQL with placeholders.
func (w *whereWriter) write(query string, args ...any) {
	w.query.WriteString(query)
	w.args = append(w.args, args...)
}

// ident writes the column, qualified.
func (w *whereWriter) ident(c whereColumn) { w.write("?TableAlias.?", bun.Name(c.name)) }

// operand writes an SQL expression in which the column stands for %s.
func (w *whereWriter) operand(c whereColumn, expr string) {
	if expr == "" {
		w.ident(c)
		return
	}
	before, after, _ := strings.Cut(expr, "%s")
	w.write(before)
	w.ident(c)
	w.write(after)
}

func (w *whereWriter) expr(e filter.Expr) error {
	switch e := e.(type) {
	case *filter.Conjunction:
		return w.join(e.Exprs, " AND ", "1 = 1")
	case *filter.Disjunction:
		return w.join(e.Exprs, " OR ", "1 = 0")
	case *filter.Negation:
		w.write("NOT (")
		if err := w.expr(e.Expr); err != nil {
			return err
		}
		w.write(")")
		return nil
	case *filter.NullTest:
		c, err := w.find(e.Column)
		if err != nil {
			return err
		}
		w.ident(c)
		w.write(map[bool]string{false: " IS NULL", true: " IS NOT NULL"}[e.Negated])
		return nil
	case *filter.Comparison:
		c, err := w.find(e.Column)
		if err != nil {
			return err
		}
		v, err := w.convert(c, e.Value)
		if err != nil {
			return err
		}
		w.comparison(c, e.Op, v)
		return nil
	case *filter.Membership:
		return w.membership(e)
	case *filter.Search:
		return w.search(e)
	default:
		return fmt.Errorf("a part of it is %T", e)
	}
}

// join halves long lists, because a filter may be an OR of many bindings' filters.
// Databases limit the depth of an expression (SQLite: 1000), and a chain of n terms
// is n deep.
func (w *whereWriter) join(exprs []filter.Expr, op, empty string) error {
	switch len(exprs) {
	case 0:
		w.write(empty)
		return nil
	case 1:
		return w.expr(exprs[0])
	}
	half := len(exprs) / 2
	w.write("(")
	if err := w.join(exprs[:half], op, empty); err != nil {
		return err
	}
	w.write(op)
	if err := w.join(exprs[half:], op, empty); err != nil {
		return err
	}
	w.write(")")
	return nil
}

func (w *whereWriter) find(name string) (whereColumn, error) {
	c, ok := w.column(name)
	if !ok {
		return whereColumn{}, &filter.UnknownColumnError{Column: name}
	}
	return c, nil
}

func (w *whereWriter) convert(c whereColumn, literal any) (value.Value, error) {
	v, err := value.Convert(literal, c.kind)
	if err == nil && v.IsNull() {
		err = fmt.Errorf("nothing compares with NULL")
	}
	if err != nil {
		return v, fmt.Errorf("column %q: %w", c.name, err)
	}
	if c.spell != nil {
		v = c.spell(v)
	}
	return v, nil
}

func (w *whereWriter) comparison(c whereColumn, op filter.Op, v value.Value) {
	switch {
	case c.kind == value.KindBool:
		w.truthTest(c, func(row value.Value) bool { return holds(op, value.Compare(row, v)) })
	case c.kind == value.KindTime && w.dialect == dialect.SQLite:
		w.sqliteTime(c, op, v)
	case c.uuids && sqliteUUIDs(v) != nil:
		w.template(c, sqliteUUIDIs(op, v))
	case c.rounds != 0 && w.rounded(c).is(op, floatOf(v)) != "":
		w.template(c, w.rounded(c).is(op, floatOf(v)))
	default:
		w.compareLiteral(c, op, literalFor(w.dialect, c, v))
	}
}

func (w *whereWriter) compareLiteral(c whereColumn, op filter.Op, l literal) {
	if l.beyond != 0 {
		// As if the row's value were 0 and the literal -1 or +1.
		w.settled(c, holds(op, -l.beyond))
		return
	}
	if l.between {
		switch op {
		case filter.OpEq, filter.OpNe:
			w.settled(c, op == filter.OpNe)
			return
		case filter.OpLt, filter.OpLe:
			op = filter.OpLe
		default:
			op = filter.OpGt
		}
	}
	w.operand(c, l.operand)
	w.write(" "+op.String()+" "+l.query, l.args...)
}

// settled writes a comparison whose answer is the same for every value, and
// unknown for NULL.
func (w *whereWriter) settled(c whereColumn, answer bool) {
	w.write("(")
	w.ident(c)
	w.write(map[bool]string{true: " IS NOT NULL OR NULL)", false: " IS NULL AND NULL)"}[answer])
}

// holds reports whether an operator holds, given how its operands compare.
func holds(op filter.Op, order int) bool {
	switch op {
	case filter.OpEq:
		return order == 0
	case filter.OpNe:
		return order != 0
	case filter.OpLt:
		return order < 0
	case filter.OpLe:
		return order <= 0
	case filter.OpGt:
		return order > 0
	default:
		return order >= 0
	}
}

func (w *whereWriter) membership(e *filter.Membership) error {
	if len(e.Values) == 0 {
		w.write(map[bool]string{false: "1 = 0", true: "1 = 1"}[e.Negated])
		return nil
	}
	c, err := w.find(e.Column)
	if err != nil {
		return err
	}
	values := make([]value.Value, len(e.Values))
	for i, l := range e.Values {
		if values[i], err = w.convert(c, l); err != nil {
			return err
		}
	}
	if e.Negated {
		w.write("NOT (")
		defer w.write(")")
	}
	w.in(c, values)
	return nil
}

func (w *whereWriter) in(c whereColumn, values []value.Value) {
	switch {
	case c.kind == value.KindBool:
		w.truthTest(c, func(row value.Value) bool { return slices.Contains(values, row) })
		return
	case c.kind == value.KindTime && w.dialect == dialect.SQLite:
		w.sqliteTimeIn(c, values)
		return
	case c.uuids:
		var forms []string
		for _, v := range values {
			forms = append(forms, sqliteUUIDs(v)...) // none for a text that is no uuid
		}
		if forms == nil {
			w.settled(c, false)
			return
		}
		w.ident(c)
		w.write(" IN (?)", bun.Safe(strings.Join(forms, ", ")))
		return
	case c.rounds != 0:
		w.any(c, values)
		return
	}
	// One list per operand; nearly always there is only one.
	var operands []string
	lists := make(map[string][]literal)
	for _, v := range values {
		l := literalFor(w.dialect, c, v)
		if l.beyond != 0 || l.between {
			continue // no row has it
		}
		if lists[l.operand] == nil {
			operands = append(operands, l.operand)
		}
		lists[l.operand] = append(lists[l.operand], l)
	}
	if len(operands) == 0 {
		w.settled(c, false)
		return
	}
	w.write("(")
	for i, operand := range operands {
		if i > 0 {
			w.write(" OR ")
		}
		w.operand(c, operand)
		for j, l := range lists[operand] {
			w.write(map[bool]string{true: " IN (", false: ", "}[j == 0])
			w.write(l.query, l.args...)
		}
		w.write(")")
	}
	w.write(")")
}

// any writes that the column equals one of the values, each in a comparison of its own.
func (w *whereWriter) any(c whereColumn, values []value.Value) {
	if len(values) == 1 {
		w.comparison(c, filter.OpEq, values[0])
		return
	}
	half := len(values) / 2 // see join
	w.write("(")
	w.any(c, values[:half])
	w.write(" OR ")
	w.any(c, values[half:])
	w.write(")")
}

func (w *whereWriter) rounded(c whereColumn) rounded {
	return rounded{w.dialect, c.sqlType, c.rounds}
}

// floatOf returns the number in a value of the kind float.
func floatOf(v value.Value) float64 {
	f, _ := v.Any().(float64)
	return f
}

// truthTest writes a condition on a column of booleans; meets says which booleans
// meet it. Databases without the type keep numbers, and every number but 0 is true,
// as in Go.
func (w *whereWriter) truthTest(c whereColumn, meets func(row value.Value) bool) {
	onFalse, onTrue := meets(value.Bool(false)), meets(value.Bool(true))
	if onFalse == onTrue {
		w.settled(c, onTrue)
		return
	}
	w.ident(c)
	typ := exact.BaseType(c.sqlType)
	if w.dialect == dialect.PG && !exact.PGIntegers[typ] {
		w.write(map[bool]string{true: " = TRUE", false: " = FALSE"}[onTrue])
		return
	}
	w.write(map[bool]string{true: " <> 0", false: " = 0"}[onTrue])
}
