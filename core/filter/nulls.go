package filter

// TestsNull reports whether any part of the expression tests a column for NULL. An
// expression without such a test that is False when a column is NULL is False for any value
// of that column.
func TestsNull(e Expr) bool {
	found := false
	walk(e, func(e Expr) {
		if _, ok := e.(*NullTest); ok {
			found = true
		}
	})
	return found
}
