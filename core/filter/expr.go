package filter

import "github.com/binderyhq/bindery/core/value"

// Expr is a condition on a row. It is always one of *[Comparison], *[Membership],
// *[Search], *[NullTest], *[Conjunction], *[Disjunction] and *[Negation]: code that
// translates expressions may rely on a type switch over these seven.
//
// Make an Expr with the functions of this package and do not modify it afterwards; then it
// is safe for concurrent use.
type Expr interface {
	// String returns the expression as text. Two expressions with the same text select the
	// same rows. Literals of different kinds and columns with unusual names stay
	// distinguishable, while int32(7) and int64(7) look the same, and so do In lists in
	// different order. The text is part of a binding's version, so its form stays the same
	// from release to release.
	String() string

	isExpr()
}

// Op is a comparison operator.
type Op uint8

// The comparison operators.
const (
	OpEq Op = iota // =
	OpNe           // <>
	OpLt           // <
	OpLe           // <=
	OpGt           // >
	OpGe           // >=
)

// String returns the operator as SQL spells it.
func (op Op) String() string {
	if int(op) < len(opNames) {
		return opNames[op]
	}
	return "?"
}

var opNames = [...]string{OpEq: "=", OpNe: "<>", OpLt: "<", OpLe: "<=", OpGt: ">", OpGe: ">="}

// Comparison compares a column with a literal.
type Comparison struct {
	Column string
	Op     Op
	// Value is the literal: a [value.Value], or the user's original value when no column
	// can hold it. [value.Convert] takes both.
	Value any
}

// Membership tests whether a column's value is among the literals, or with Negated, whether
// it is not. For an empty list it is false, or true if negated, even for NULL.
type Membership struct {
	Column  string
	Negated bool
	// Values are literals as in [Comparison].
	Values []any
}

// NullTest tests whether a column is NULL, or with Negated, whether it is not. It is never
// unknown.
type NullTest struct {
	Column  string
	Negated bool
}

// Conjunction is true if all of its parts are. Without parts it is true.
type Conjunction struct{ Exprs []Expr }

// Disjunction is true if any of its parts is. Without parts it is false.
type Disjunction struct{ Exprs []Expr }

// Negation turns true into false and false into true; unknown stays unknown.
type Negation struct{ Expr Expr }

func (*Comparison) isExpr()  {}
func (*Membership) isExpr()  {}
func (*NullTest) isExpr()    {}
func (*Conjunction) isExpr() {}
func (*Disjunction) isExpr() {}
func (*Negation) isExpr()    {}

// Eq selects the rows whose column equals the value.
func Eq(column string, v any) Expr { return compare(column, OpEq, v) }

// Ne selects the rows whose column is not NULL and differs from the value.
func Ne(column string, v any) Expr { return compare(column, OpNe, v) }

// Lt selects the rows whose column is less than the value.
func Lt(column string, v any) Expr { return compare(column, OpLt, v) }

// Le selects the rows whose column is less than or equal to the value.
func Le(column string, v any) Expr { return compare(column, OpLe, v) }

// Gt selects the rows whose column is greater than the value.
func Gt(column string, v any) Expr { return compare(column, OpGt, v) }

// Ge selects the rows whose column is greater than or equal to the value.
func Ge(column string, v any) Expr { return compare(column, OpGe, v) }

// Between selects the rows whose column is at least lo and at most hi.
func Between(column string, lo, hi any) Expr { return And(Ge(column, lo), Le(column, hi)) }

// In selects the rows whose column equals one of the values; without values it
// selects nothing.
func In(column string, values ...any) Expr {
	return &Membership{Column: column, Values: literals(values)}
}

// NotIn selects the rows whose column is not NULL and equals none of the
// values; without values it selects everything.
func NotIn(column string, values ...any) Expr {
	return &Membership{Column: column, Negated: true, Values: literals(values)}
}

// IsNull selects the rows whose column is NULL.
func IsNull(column string) Expr { return &NullTest{Column: column} }

// NotNull selects the rows whose column is not NULL.
func NotNull(column string) Expr { return &NullTest{Column: column, Negated: true} }

// And selects the rows that all expressions select; And() selects everything.
func And(exprs ...Expr) Expr {
	if len(exprs) == 1 && !isNil(exprs[0]) {
		return exprs[0]
	}
	return &Conjunction{Exprs: append([]Expr(nil), exprs...)}
}

// Or selects the rows that any of the expressions selects; Or() selects
// nothing.
func Or(exprs ...Expr) Expr {
	if len(exprs) == 1 && !isNil(exprs[0]) {
		return exprs[0]
	}
	return &Disjunction{Exprs: append([]Expr(nil), exprs...)}
}

// Not selects the rows for which the expression is false. When the expression is unknown,
// as for a comparison with NULL, neither it nor its negation selects the row.
func Not(e Expr) Expr { return &Negation{Expr: e} }

func compare(column string, op Op, v any) Expr {
	return &Comparison{Column: column, Op: op, Value: literal(v)}
}

// literal reads a pointer, a slice or a Valuer once, so that later changes by the user do
// not affect the expression.
func literal(v any) any {
	if val, err := value.Of(v); err == nil {
		return val
	}
	return v // Check reports it
}

func literals(vs []any) []any {
	out := make([]any, len(vs))
	for i, v := range vs {
		out[i] = literal(v)
	}
	return out
}
