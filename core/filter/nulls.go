package filter

// TestsNull reports whether the expression asks somewhere whether a column is
// NULL. An expression that does not, and is False when a column is NULL, is False
// whatever the column holds.
func TestsNull(e Expr) bool {
	found := false
	walk(e, func(e Expr) {
		if _, ok := e.(*NullTest); ok {
			found = true
		}
	})
	return found
}
