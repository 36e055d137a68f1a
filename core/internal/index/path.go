package index

import (
	"cmp"
	"slices"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

// path is a conjunction of restrictions of different columns, ordered by
// column. The empty path is true for every row.
type path []restriction

// restriction says which values a column may have: those of a list or, if that
// is nil, those of an interval. Neither is ever empty, and neither is modified,
// since paths share them.
type restriction struct {
	column int
	values []value.Value // sorted, each once; NULL may be among them
	span   interval
}

// The two paths that are not made of restrictions.
var (
	always = []path{nil}
	never  []path
)

// pathsOf returns paths such that a row for which the expression is true meets
// at least one of them: none if it is true for no row, at most maxEntries.
func pathsOf(e filter.Expr, column func(string) (int, value.Kind, bool)) []path {
	d := deriver{column: column}
	return d.derive(e, false)
}

// deriver derives paths from an expression. not asks for those of its
// negation: in SQL's logic, too, NOT (a < 5) is true exactly where a >= 5 is,
// and NOT (x AND y) exactly where NOT x OR NOT y is.
type deriver struct {
	column func(string) (int, value.Kind, bool)
}

func (d deriver) derive(e filter.Expr, not bool) []path {
	switch e := e.(type) {
	case *filter.Comparison:
		if e != nil {
			return d.comparison(e, not)
		}
	case *filter.Membership:
		if e != nil {
			return d.membership(e, not)
		}
	case *filter.Search:
		if e != nil {
			return d.search(e, not)
		}
	case *filter.NullTest:
		if e != nil {
			return d.nullTest(e, not)
		}
	case *filter.Conjunction:
		if e != nil {
			return d.group(e.Exprs, not, !not)
		}
	case *filter.Disjunction:
		if e != nil {
			return d.group(e.Exprs, not, not)
		}
	case *filter.Negation:
		if e != nil {
			return d.derive(e.Expr, !not)
		}
	}
	return always // nil: no restriction if it is the whole, a mistake if it is a part
}

func (d deriver) comparison(e *filter.Comparison, not bool) []path {
	column, kind, ok := d.column(e.Column)
	v, err := value.Convert(e.Value, kind)
	if !ok || err != nil || v.IsNull() {
		return always
	}
	op := e.Op
	if not {
		op = opposite(op)
	}
	if op == filter.OpEq {
		return []path{{{column: column, values: []value.Value{v}}}}
	}
	span := everything
	switch op {
	case filter.OpLt:
		span.hi = bound{value: v, side: -1}
	case filter.OpLe:
		span.hi = bound{value: v}
	case filter.OpGt:
		span.lo = bound{value: v, side: +1}
	case filter.OpGe:
		span.lo = bound{value: v}
	default: // nearly every row differs
		return always
	}
	return []path{{{column: column, span: span}}}
}

func opposite(op filter.Op) filter.Op {
	switch op {
	case filter.OpEq:
		return filter.OpNe
	case filter.OpNe:
		return filter.OpEq
	case filter.OpLt:
		return filter.OpGe
	case filter.OpLe:
		return filter.OpGt
	case filter.OpGt:
		return filter.OpLe
	case filter.OpGe:
		return filter.OpLt
	default:
		return op
	}
}

func (d deriver) membership(e *filter.Membership, not bool) []path {
	negated := e.Negated != not
	if len(e.Values) == 0 && !negated {
		return never
	}
	column, kind, ok := d.column(e.Column)
	if !ok || negated {
		return always
	}
	values := make([]value.Value, len(e.Values))
	for i, literal := range e.Values {
		v, err := value.Convert(literal, kind)
		if err != nil || v.IsNull() {
			return always
		}
		values[i] = v
	}
	return []path{{{column: column, values: sorted(values)}}}
}

func (d deriver) nullTest(e *filter.NullTest, not bool) []path {
	column, _, ok := d.column(e.Column)
	if !ok || e.Negated != not {
		return always
	}
	return []path{{{column: column, values: []value.Value{value.Null()}}}}
}

// search returns the interval of the texts that begin with the prefix searched for. No
// interval helps with other searches: inside a text, or regardless of case.
func (d deriver) search(e *filter.Search, not bool) []path {
	column, kind, ok := d.column(e.Column)
	prefix, err := e.Literal()
	if !ok || err != nil || kind != value.KindText || not || !e.Prefix || e.Fold || prefix == "" {
		return always
	}
	span := everything
	span.lo = bound{value: value.Text(prefix)}
	if end, ok := afterPrefix(prefix); ok {
		span.hi = bound{value: value.Text(end), side: -1}
	}
	return []path{{{column: column, span: span}}}
}

// afterPrefix returns the least text, in bytes, that is greater than all that begin
// with the prefix; false if there is none.
func afterPrefix(prefix string) (string, bool) {
	end := []byte(prefix)
	for len(end) > 0 && end[len(end)-1] == 0xff {
		end = end[:len(end)-1]
	}
	if len(end) == 0 {
		return "", false
	}
	end[len(end)-1]++
	return string(end), true
}

// group returns the paths of a conjunction, with and, or of a disjunction.
func (d deriver) group(exprs []filter.Expr, not, and bool) []path {
	parts := make([][]path, len(exprs))
	for i, e := range exprs {
		parts[i] = d.derive(e, not)
	}
	if and {
		return conjunction(parts)
	}
	return disjunction(parts)
}

// conjunction combines every path of a part with every path of the others. It
// leaves out parts that would make more than maxEntries paths.
func conjunction(parts [][]path) []path {
	slices.SortStableFunc(parts, func(a, b []path) int { return cmp.Compare(len(a), len(b)) })
	all := always
	for _, part := range parts {
		if len(part) == 0 {
			return never
		}
		if len(all)*len(part) > maxEntries {
			break // nor do the next ones fit
		}
		var combined []path
		for _, a := range all {
			for _, b := range part {
				if p, ok := a.and(b); ok {
					combined = append(combined, p)
				}
			}
		}
		if all = combined; len(all) == 0 {
			return never
		}
	}
	return all
}

// disjunction gathers the paths of the parts. Those that are about the values
// of a single column become one: a = 1 OR a = 2 is a IN (1, 2).
func disjunction(parts [][]path) []path {
	all := never
	values := make(map[int][]value.Value) // by column
	for _, part := range parts {
		for _, p := range part {
			switch {
			case len(p) == 0:
				return always
			case len(p) == 1 && p[0].values != nil:
				values[p[0].column] = append(values[p[0].column], p[0].values...)
			default:
				all = append(all, p)
			}
		}
		if len(all)+len(values) > maxEntries {
			return always
		}
	}
	for column, vs := range values {
		all = append(all, path{{column: column, values: sorted(vs)}})
	}
	return all
}

// and returns the conjunction of both paths, or false if no row meets it.
func (p path) and(q path) (path, bool) {
	both := make(path, 0, len(p)+len(q))
	for len(p) > 0 && len(q) > 0 {
		switch c := cmp.Compare(p[0].column, q[0].column); {
		case c < 0:
			both, p = append(both, p[0]), p[1:]
		case c > 0:
			both, q = append(both, q[0]), q[1:]
		default:
			r, ok := p[0].and(q[0])
			if !ok {
				return nil, false
			}
			both, p, q = append(both, r), p[1:], q[1:]
		}
	}
	return append(append(both, p...), q...), true
}

// and returns the conjunction of two restrictions of one column, or false if no
// value meets it.
func (r restriction) and(s restriction) (restriction, bool) {
	if r.values == nil {
		r, s = s, r
	}
	if r.values == nil {
		r.span = r.span.and(s.span)
		return r, !r.span.empty()
	}
	var common []value.Value
	for _, v := range r.values {
		if s.contains(v) {
			common = append(common, v)
		}
	}
	r.values = common
	return r, len(common) > 0
}

func (r restriction) contains(v value.Value) bool {
	if r.values == nil {
		return r.span.contains(v)
	}
	_, found := slices.BinarySearchFunc(r.values, v, value.Compare)
	return found
}

// sorted sorts the values, which it owns, and drops those that are there twice.
func sorted(values []value.Value) []value.Value {
	slices.SortFunc(values, value.Compare)
	return slices.Compact(values)
}
