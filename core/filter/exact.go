package filter

// Exactness says which comparisons of a column Go provably makes as the database does. It
// is a set of bits. The zero value allows none, not even IsNull, because a Go field that
// reads NULL as its zero value cannot tell. With any bit set Go can tell NULL.
type Exactness uint8

const (
	// ExactEqual means that two values are equal in Go exactly when they are in the
	// database, so Go can evaluate =, <> and IN.
	ExactEqual Exactness = 1 << iota
	// ExactOrder means that a value is less than another in Go exactly when it is in the
	// database, so Go can evaluate <, <=, > and >=.
	ExactOrder

	// Exact is both.
	Exact = ExactEqual | ExactOrder

	// ExactFold means that in a [Search] with Fold the database ignores the case of ASCII
	// letters and of no others. Together with ExactEqual, Go can then evaluate it.
	ExactFold Exactness = 1 << 2
)

// String returns the names of the bits: "none", "equal", "order" or "exact", followed by ",
// fold" for [ExactFold].
func (x Exactness) String() string {
	name := [...]string{0: "none", ExactEqual: "equal", ExactOrder: "order", Exact: "exact"}[x&Exact]
	if x&ExactFold != 0 {
		name += ", fold"
	}
	return name
}

// needs returns the exactness that an operator requires of its column.
func (op Op) needs() Exactness {
	if op == OpEq || op == OpNe {
		return ExactEqual
	}
	return ExactOrder
}

// IsExact reports whether Go evaluates the expression as the database does, for every row,
// given the exactness of its columns. A nil expression is exact.
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
		case *Search:
			needs, column = e.needs(), e.Column
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
