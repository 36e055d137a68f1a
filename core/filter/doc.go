// Package filter represents conditions on rows as data, so that one condition can be run by
// the database, evaluated in memory and looked up in an index.
//
//	filter.And(
//		filter.Eq("venue", "store"),
//		filter.Or(filter.Lt("price", 10), filter.IsNull("price")),
//	)
//
// # Meaning
//
// Expressions have the meaning of SQL, with three truth values: a comparison with a NULL
// column is neither true nor false but [Unknown], Not of it is unknown as well, and only
// [True] selects a row. So neither Eq("a", 1) nor Not(Eq("a", 1)) selects a row whose a is
// NULL; IsNull does.
//
// Values compare as package value orders them: text by its bytes, numbers by
// size and exactly, NaN equal to itself and greater than every number (as in
// Postgres), -0 equal to 0, times by instant.
//
// [Contains] and [HasPrefix] search for a text, see [Search].
//
// # Literals
//
// A literal is any Go value that [value.Of] takes. It is read when the expression is made,
// and converted to the kind of its column when the expression is checked or compiled. A
// literal that the column's kind cannot hold, such as 1.5 or 1<<63 for an int64 column, is
// an error rather than a condition that never or always holds, since it is nearly always a
// mistake. So is nil, since nothing equals NULL in SQL: use IsNull and NotNull. [Check]
// finds all these mistakes, and unknown columns, at once.
//
// # Exactness
//
// A database does not always compare as Go does: it may compare text by a collation, and
// times with less precision. Each column has an [Exactness] that says which comparisons
// agree; [IsExact] says whether Go may evaluate a whole expression in place of the
// database.
package filter
