package filter

// Exactness says which comparisons of a column Go provably makes as the
// database does. It is a set of bits; the zero value is none, not even whether
// the column is NULL: a Go field that reads NULL as its zero value cannot tell.
// With any bit set Go can tell NULL.
type Exactness uint8

const (
	// ExactEqual: two values are equal in Go exactly when they are in the
	// database; =, <> and IN can be evaluated in Go.
	ExactEqual Exactness = 1 << iota
	// ExactOrder: a value is less than another in Go exactly when it is in
	// the database; <, <=, > and >= can be evaluated in Go.
	ExactOrder

	// Exact is both.
	Exact = ExactEqual | ExactOrder
)

// String returns the names of the bits: "none", "equal", "order" or "exact".
func (x Exactness) String() string {
	switch x & Exact {
	case ExactEqual:
		return "equal"
	case ExactOrder:
		return "order"
	case Exact:
		return "exact"
	default:
		return "none"
	}
}

// needs returns what an operator demands of its column.
func (op Op) needs() Exactness {
	if op == OpEq || op == OpNe {
		return ExactEqual
	}
	return ExactOrder
}

// IsExact reports whether Go's evaluation of the expression is the database's
// for every row, given the exactness of its columns. A nil expression is exact.
func IsExact(e Expr, exactness func(column string) Exactness) bool {
	exact := true
	walk(e, func(e Expr) {
		var needs Exactness
		var column string
		switch e := e.(type) {
		case *Comparison:
			needs, column = e.Op.needs(), e.Column
		case *Membership:
			if len(e.Values) == 0 {
				return // constant
			}
			needs, column = ExactEqual, e.Column
		case *NullTest:
			exact = exact && exactness(e.Column) != 0
			return
		default:
			return
		}
		exact = exact && exactness(column)&needs == needs
	})
	return exact
}
