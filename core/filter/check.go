package filter

import (
	"errors"
	"fmt"
	"slices"

	"github.com/binderyhq/bindery/core/value"
)

// UnknownColumnError reports an expression on a column that does not exist.
type UnknownColumnError struct {
	Column string
}

// Error names the column.
func (e *UnknownColumnError) Error() string {
	return fmt.Sprintf("filter: unknown column %q", e.Column)
}

var (
	errNilLiteral = errors.New("nothing compares with NULL; use IsNull or NotNull")
	errNilExpr    = errors.New("filter: a part of the expression is nil")
)

// Check returns all problems of the expression, joined, in the order of its parts: an
// [*UnknownColumnError] for each unknown column, literals that are nil or that do not
// convert to the kind of their column without loss, and nil parts. kind returns the kind of
// a column, and whether the column exists. A nil expression has no problems: it restricts
// nothing.
func Check(e Expr, kind func(column string) (value.Kind, bool)) error {
	c := checker{kind: kind}
	if !isNil(e) {
		c.check(e)
	}
	return errors.Join(c.errs...)
}

// CheckParameterized is [Check] for an expression with unbound parameters.
func CheckParameterized(e Expr, kind func(column string) (value.Kind, bool)) error {
	c := checker{kind: kind, parameters: true}
	if !isNil(e) {
		c.check(e)
	}
	return errors.Join(c.errs...)
}

type checker struct {
	kind    func(column string) (value.Kind, bool)
	errs    []error
	unknown []string // columns reported so far

	parameters bool // parameters may stand for literals
}

func (c *checker) check(e Expr) {
	if isNil(e) {
		c.errs = append(c.errs, errNilExpr)
		return
	}
	switch e := e.(type) {
	case *Comparison:
		if int(e.Op) >= len(opNames) {
			c.errs = append(c.errs, fmt.Errorf("filter: comparing column %q: no operator has the number %d", e.Column, e.Op))
		}
		c.column(e.Column, e.Value)
		if p, ok := e.Value.(Parameter); ok && p.repeated {
			c.errs = append(c.errs, errOutsideList(e.Column, p))
		}
	case *Membership:
		c.column(e.Column, e.Values...)
	case *NullTest:
		c.column(e.Column)
	case *Search:
		c.search(e)
	case *Conjunction:
		c.checkAll(e.Exprs)
	case *Disjunction:
		c.checkAll(e.Exprs)
	case *Negation:
		c.check(e.Expr)
	}
}

func (c *checker) checkAll(exprs []Expr) {
	for _, e := range exprs {
		c.check(e)
	}
}

func (c *checker) column(name string, literals ...any) {
	kind, ok := c.kind(name)
	if !ok {
		if !slices.Contains(c.unknown, name) {
			c.unknown = append(c.unknown, name)
			c.errs = append(c.errs, &UnknownColumnError{Column: name})
		}
		return
	}
	for _, l := range literals {
		if _, ok := l.(Parameter); ok && c.parameters {
			continue
		}
		if _, err := convert(name, l, kind); err != nil {
			c.errs = append(c.errs, err)
		}
	}
}

// convert converts a literal to its column's kind.
func convert(column string, literal any, kind value.Kind) (value.Value, error) {
	var v value.Value
	var err error
	if p, ok := literal.(Parameter); ok {
		err = errUnbound(p)
	} else {
		v, err = value.Convert(literal, kind)
	}
	if err == nil && v.IsNull() {
		err = errNilLiteral
	}
	if err != nil {
		return value.Value{}, fmt.Errorf("filter: comparing column %q: %w", column, err)
	}
	return v, nil
}

// Columns returns the names of the columns in the expression, sorted, without duplicates.
func Columns(e Expr) []string {
	var names []string
	walk(e, func(e Expr) {
		switch e := e.(type) {
		case *Comparison:
			names = append(names, e.Column)
		case *Membership:
			names = append(names, e.Column)
		case *NullTest:
			names = append(names, e.Column)
		case *Search:
			names = append(names, e.Column)
		}
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// walk calls f for every part of the expression that is not a group.
func walk(e Expr, f func(Expr)) {
	if isNil(e) {
		return
	}
	switch e := e.(type) {
	case *Conjunction:
		for _, part := range e.Exprs {
			walk(part, f)
		}
	case *Disjunction:
		for _, part := range e.Exprs {
			walk(part, f)
		}
	case *Negation:
		walk(e.Expr, f)
	default:
		f(e)
	}
}
