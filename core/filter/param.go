package filter

import (
	"fmt"

	"github.com/binderyhq/bindery/core/value"
)

// Parameter stands in an expression for a value that is given later: each value
// makes an expression of its own. It is made by [Param].
type Parameter struct {
	Name string

	optional, repeated bool
}

// Param returns a literal that stands for the parameter of that name, for use
// where the functions of this package take a value:
//
//	filter.Eq("venue", filter.Param("venue"))
func Param(name string) Parameter { return Parameter{Name: name} }

// Optional returns the parameter as one that need not be given. Where it is not,
// the comparison with it restricts nothing: it counts as met, and under [Not] as
// not met. In a list of [In] or [NotIn] it is left out, and the list restricts
// nothing when nothing else is in it.
//
//	filter.Ge("price", filter.Param("from").Optional())
func (p Parameter) Optional() Parameter {
	p.optional = true
	return p
}

// Repeated returns the parameter as one that may have several values. It stands in
// a list of [In] or [NotIn], and nowhere else:
//
//	filter.In("status", filter.Param("status").Repeated())
func (p Parameter) Repeated() Parameter {
	p.repeated = true
	return p
}

// ParameterUse is a place where an expression compares a column with a
// parameter.
type ParameterUse struct {
	Name, Column string
	// Optional and Repeated are as the parameter was made.
	Optional, Repeated bool
	// Searched says that the parameter is looked for in the column, see [Search]:
	// it need not be a value that the column could have.
	Searched bool
}

// Parameters returns the places where the expression has parameters, in its
// order.
func Parameters(e Expr) []ParameterUse {
	var uses []ParameterUse
	note := func(column string, literal any, searched bool) {
		if p, ok := literal.(Parameter); ok {
			uses = append(uses, ParameterUse{p.Name, column, p.optional, p.repeated, searched})
		}
	}
	walk(e, func(e Expr) {
		switch e := e.(type) {
		case *Comparison:
			note(e.Column, e.Value, false)
		case *Membership:
			for _, v := range e.Values {
				note(e.Column, v, false)
			}
		case *Search:
			note(e.Column, e.Text, true)
		}
	})
	return uses
}

// Bind returns the expression with the values in the places of its parameters;
// get returns the values of a parameter, none of which is NULL, and nothing for
// one that is not given. A parameter that is not given and not optional stays.
// Parts without parameters are shared with the original.
func Bind(e Expr, get func(name string) []value.Value) Expr { return binder(get).bind(e, false) }

// binder returns the values of a parameter.
type binder func(name string) []value.Value

// bind binds an expression. not says that it stands under an odd number of
// negations, so that one that restricts nothing is false.
func (b binder) bind(e Expr, not bool) Expr {
	if isNil(e) || len(Parameters(e)) == 0 {
		return e
	}
	switch e := e.(type) {
	case *Comparison:
		if v, absent := b.literal(e.Value); !absent {
			return &Comparison{Column: e.Column, Op: e.Op, Value: v}
		}
	case *Search:
		if v, absent := b.literal(e.Text); !absent {
			return &Search{Column: e.Column, Prefix: e.Prefix, Fold: e.Fold, Text: v}
		}
	case *Membership:
		if values := b.list(e.Values); len(values) > 0 {
			return &Membership{Column: e.Column, Negated: e.Negated, Values: values}
		}
	case *Conjunction:
		return simpler(b.parts(e.Exprs, not), true)
	case *Disjunction:
		return simpler(b.parts(e.Exprs, not), false)
	case *Negation:
		part := b.bind(e.Expr, !not)
		if truth, ok := constantOf(part); ok {
			return constantExpr(!truth)
		}
		return &Negation{Expr: part}
	}
	return constantExpr(!not)
}

// literal binds a literal. absent says that it is an optional parameter that is
// not given.
func (b binder) literal(l any) (bound any, absent bool) {
	p, ok := l.(Parameter)
	if !ok {
		return l, false
	}
	switch values := b(p.Name); {
	case len(values) == 1:
		return values[0], false
	case len(values) == 0:
		return l, p.optional
	default:
		return l, false
	}
}

// list binds the literals of a list.
func (b binder) list(literals []any) []any {
	bound := make([]any, 0, len(literals))
	for _, l := range literals {
		p, ok := l.(Parameter)
		if !ok {
			bound = append(bound, l)
			continue
		}
		values := b(p.Name)
		for _, v := range values {
			bound = append(bound, v)
		}
		if len(values) == 0 && !p.optional {
			bound = append(bound, l)
		}
	}
	return bound
}

func (b binder) parts(exprs []Expr, not bool) []Expr {
	out := make([]Expr, len(exprs))
	for i, part := range exprs {
		out[i] = b.bind(part, not)
	}
	return out
}

// simpler makes a conjunction, with and, or a disjunction of the parts, without
// those that make no difference to it.
func simpler(parts []Expr, and bool) Expr {
	kept := parts[:0]
	for _, part := range parts {
		truth, constant := constantOf(part)
		switch {
		case constant && truth == and:
		case constant:
			return constantExpr(!and)
		default:
			kept = append(kept, part)
		}
	}
	switch {
	case len(kept) == 1:
		return kept[0]
	case and:
		return &Conjunction{Exprs: kept}
	default:
		return &Disjunction{Exprs: kept}
	}
}

// constantOf returns the truth of an expression that has the same for every row:
// a group of nothing.
func constantOf(e Expr) (truth, ok bool) {
	switch e := e.(type) {
	case *Conjunction:
		return true, e != nil && len(e.Exprs) == 0
	case *Disjunction:
		return false, e != nil && len(e.Exprs) == 0
	}
	return false, false
}

func constantExpr(truth bool) Expr {
	if truth {
		return And()
	}
	return Or()
}

// errUnbound reports a parameter where a value is needed.
func errUnbound(p Parameter) error {
	return fmt.Errorf("the parameter %q has no value: only a family has parameters", p.Name)
}

// errOutsideList reports a parameter of several values where one value is needed.
func errOutsideList(column string, p Parameter) error {
	return fmt.Errorf("filter: comparing column %q: the parameter %q may have several values, so it stands in In or NotIn", column, p.Name)
}
