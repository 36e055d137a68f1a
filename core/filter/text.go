package filter

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/binderyhq/bindery/core/value"
)

func (e *Comparison) String() string {
	return columnText(e.Column) + " " + e.Op.String() + " " + literalText(e.Value)
}

func (e *Membership) String() string {
	op := " in ("
	if e.Negated {
		op = " not in ("
	}
	texts := make([]string, len(e.Values))
	for i, v := range e.Values {
		texts[i] = literalText(v)
	}
	slices.Sort(texts)
	return columnText(e.Column) + op + strings.Join(slices.Compact(texts), ", ") + ")"
}

func (e *NullTest) String() string {
	if e.Negated {
		return columnText(e.Column) + " is not null"
	}
	return columnText(e.Column) + " is null"
}

func (e *Conjunction) String() string { return groupText(e.Exprs, " and ", "true") }

func (e *Disjunction) String() string { return groupText(e.Exprs, " or ", "false") }

func (e *Negation) String() string { return "not " + groupText([]Expr{e.Expr}, "", "") }

// groupText always writes parentheses, so that the text reads the same whatever the
// precedence.
func groupText(exprs []Expr, op, empty string) string {
	if len(exprs) == 0 {
		return empty
	}
	texts := make([]string, len(exprs))
	for i, e := range exprs {
		texts[i] = "nil"
		if !isNil(e) {
			texts[i] = e.String()
		}
	}
	return "(" + strings.Join(texts, op) + ")"
}

// columnText leaves plain names as they are, and quotes all others and the keywords of the
// text's own grammar.
func columnText(name string) string {
	switch name {
	case "", "and", "or", "not", "in", "is", "null", "nil", "true", "false":
		return strconv.Quote(name)
	}
	for i := range len(name) {
		c := name[i]
		letter := c == '_' || (c|0x20 >= 'a' && c|0x20 <= 'z')
		digit := c >= '0' && c <= '9'
		if !letter && (!digit || i == 0) {
			return strconv.Quote(name)
		}
	}
	return name
}

// literalText writes the kind before the value, except for bool, int and text, which are
// recognisable.
func literalText(literal any) string {
	if p, ok := literal.(Parameter); ok {
		text := "$" + strconv.Quote(p.Name)
		if p.repeated {
			text += "..."
		}
		if p.optional {
			text += "?"
		}
		return text
	}
	v, err := value.Of(literal)
	if err != nil {
		return fmt.Sprintf("invalid(%T)", literal)
	}
	switch v.Kind() {
	case value.KindNull, value.KindBool, value.KindInt:
		return v.String()
	case value.KindText:
		return strconv.Quote(v.String())
	case value.KindOpaque:
		return "opaque(" + strconv.Quote(v.String()) + ")"
	default:
		return v.Kind().String() + "(" + v.String() + ")"
	}
}

// isNil also recognises a nil pointer in the interface.
func isNil(e Expr) bool {
	switch e := e.(type) {
	case nil:
		return true
	case *Comparison:
		return e == nil
	case *Membership:
		return e == nil
	case *NullTest:
		return e == nil
	case *Search:
		return e == nil
	case *Conjunction:
		return e == nil
	case *Disjunction:
		return e == nil
	case *Negation:
		return e == nil
	default:
		return false
	}
}
