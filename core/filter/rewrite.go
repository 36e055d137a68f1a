package filter

// Rewrite returns the expression with every literal replaced by what the function
// makes of it. Parameters are not shown to the function. Parts in which nothing
// is to be replaced are shared; the expression itself is not modified.
func Rewrite(e Expr, literal func(column string, v any) any) Expr {
	if isNil(e) {
		return e
	}
	one := func(column string, v any) any {
		if _, ok := v.(Parameter); ok {
			return v
		}
		return literal(column, v)
	}
	switch e := e.(type) {
	case *Comparison:
		return &Comparison{Column: e.Column, Op: e.Op, Value: one(e.Column, e.Value)}
	case *Membership:
		values := make([]any, len(e.Values))
		for i, v := range e.Values {
			values[i] = one(e.Column, v)
		}
		return &Membership{Column: e.Column, Values: values, Negated: e.Negated}
	case *Conjunction:
		return &Conjunction{Exprs: rewriteAll(e.Exprs, literal)}
	case *Disjunction:
		return &Disjunction{Exprs: rewriteAll(e.Exprs, literal)}
	case *Negation:
		return &Negation{Expr: Rewrite(e.Expr, literal)}
	default:
		return e
	}
}

func rewriteAll(exprs []Expr, literal func(column string, v any) any) []Expr {
	out := make([]Expr, len(exprs))
	for i, e := range exprs {
		out[i] = Rewrite(e, literal)
	}
	return out
}
