package filter

import (
	"fmt"

	"github.com/binderyhq/bindery/core/value"
)

// Parameter stands in an expression for a value that is given later: each value
// makes an expression of its own. It is made by [Param].
type Parameter struct{ Name string }

// Param returns a literal that stands for the parameter of that name, for use
// where the functions of this package take a value:
//
//	filter.Eq("venue", filter.Param("venue"))
func Param(name string) Parameter { return Parameter{name} }

// ParameterUse is a place where an expression compares a column with a
// parameter.
type ParameterUse struct {
	Name, Column string
}

// Parameters returns the places where the expression has parameters, in its
// order.
func Parameters(e Expr) []ParameterUse {
	var uses []ParameterUse
	note := func(column string, literal any) {
		if p, ok := literal.(Parameter); ok {
			uses = append(uses, ParameterUse{p.Name, column})
		}
	}
	walk(e, func(e Expr) {
		switch e := e.(type) {
		case *Comparison:
			note(e.Column, e.Value)
		case *Membership:
			for _, v := range e.Values {
				note(e.Column, v)
			}
		}
	})
	return uses
}

// Bind returns the expression with the values in the places of its parameters;
// get returns the value of a parameter, which is not NULL, and whether there is
// one. A parameter without a value stays. Parts without parameters are shared
// with the original.
func Bind(e Expr, get func(name string) (v value.Value, ok bool)) Expr {
	if isNil(e) || len(Parameters(e)) == 0 {
		return e
	}
	literal := func(l any) any {
		if p, ok := l.(Parameter); ok {
			if v, ok := get(p.Name); ok {
				return v
			}
		}
		return l
	}
	parts := func(exprs []Expr) []Expr {
		out := make([]Expr, len(exprs))
		for i, part := range exprs {
			out[i] = Bind(part, get)
		}
		return out
	}
	switch e := e.(type) {
	case *Comparison:
		return &Comparison{Column: e.Column, Op: e.Op, Value: literal(e.Value)}
	case *Membership:
		values := make([]any, len(e.Values))
		for i, v := range e.Values {
			values[i] = literal(v)
		}
		return &Membership{Column: e.Column, Negated: e.Negated, Values: values}
	case *Conjunction:
		return &Conjunction{Exprs: parts(e.Exprs)}
	case *Disjunction:
		return &Disjunction{Exprs: parts(e.Exprs)}
	case *Negation:
		return &Negation{Expr: Bind(e.Expr, get)}
	default:
		return e
	}
}

// errUnbound reports a parameter where a value is needed.
func errUnbound(p Parameter) error {
	return fmt.Errorf("the parameter %q has no value: only a family has parameters", p.Name)
}
