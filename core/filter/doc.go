// Package filter holds conditions on rows: data, not code, so that one
// condition can be run by the database, evaluated in memory and found through
// an index.
//
//	filter.And(
//		filter.Eq("venue", "store"),
//		filter.Or(filter.Lt("price", 10), filter.IsNull("price")),
//	)
//
// # Meaning
//
// Expressions mean what they mean in SQL. There are three truths: a comparison
// with a column that is NULL is neither true nor false but [Unknown], Not of
// it is unknown as well, and a row is selected only by [True]. So neither
// Eq("a", 1) nor Not(Eq("a", 1)) selects a row whose a is NULL; IsNull does.
//
// Values compare as package value orders them: text by its bytes, numbers by
// size and exactly, NaN equal to itself and greater than every number (as in
// Postgres), -0 equal to 0, times by instant.
//
// [Contains] and [HasPrefix] look for a text, see [Search].
//
// # Literals
//
// A literal is any Go value that [value.Of] takes. It is read when the
// expression is made, and converted to the kind of its column when it is
// checked or compiled. A literal that the column's kind cannot hold, such as
// 1.5 or 1<<63 for a column of int64, is an error and not a condition that
// nothing or everything meets: it is nearly always a mistake. So is nil, since
// nothing equals NULL in SQL: IsNull and NotNull ask for it. [Check] finds
// these mistakes, and unknown columns, all at once.
//
// # Exactness
//
// A database does not always compare as Go does: text may be compared by a
// collation, times with less precision. What is the same is said per column by
// an [Exactness]; [IsExact] says whether a whole expression may be evaluated in
// Go in place of the database.
package filter
