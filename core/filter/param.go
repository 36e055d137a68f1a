package filter

import (
	"fmt"

	"github.com/binderyhq/bindery/core/value"
)

// Parameter is a placeholder in an expression for a value that [Bind] supplies later. It is
// made by [Param].
type Parameter struct {
	Name string

	optional, repeated bool
}

// Param returns the parameter with that name, for use wherever the functions of this
// package take a value:
//
//	filter.Eq("venue", filter.Param("venue"))
func Param(name string) Parameter { return Parameter{Name: name} }

// Optional returns the parameter as optional. Without a value, its comparison restricts
// nothing: it counts as true, and under [Not] as false. In a list of [In] or [NotIn] the
// parameter is left out; a list that becomes empty restricts nothing.
//
//	filter.Ge("price", filter.Param("from").Optional())
func (p Parameter) Optional() Parameter {
	p.optional = true
	return p
}

// Repeated returns the parameter as one that may have several values. It is allowed only in
// a list of [In] or [NotIn]:
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
	// Optional and Repeated are those of the parameter.
	Optional, Repeated bool
	// Searched says that the parameter is the text of a [Search] in the column: it need not
	// be a valid value of the column.
	Searched bool
}

// Parameters returns every use of a parameter in the expression, in order.
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

// Bind returns the expression with its parameters replaced by values. get returns the
// values of a parameter, never NULL, and none when it was not given. A required parameter
// without a value stays in place. Parts without parameters are shared with the original.
func Bind(e Expr, get func(name string) []value.Value) Expr { return binder(get).bind(e, false) }

// binder returns the values of a parameter.
type binder func(name string) []value.Value

// bind binds an expression. not says that it is under an odd number of negations, so that a
// part that restricts nothing must become false.
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

// literal binds a literal. absent means that it is an optional parameter without a value.
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

// simpler joins the parts, with and set by a conjunction, else by a disjunction. It drops
// parts that make no difference.
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

// constantOf returns the truth of an expression that is the same for every row: an empty
// group.
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

// errUnbound reports a parameter without a value where one is needed.
func errUnbound(p Parameter) error {
	return fmt.Errorf("the parameter %q has no value: only a family has parameters", p.Name)
}

// errOutsideList reports a repeated parameter where a single value is needed.
func errOutsideList(column string, p Parameter) error {
	return fmt.Errorf("filter: comparing column %q: the parameter %q may have several values, so it stands in In or NotIn", column, p.Name)
}
