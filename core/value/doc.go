// Package value holds the values of columns in one small, comparable form.
//
// A database driver, a Go struct, a URL and a replication log spell the same
// value in different ways: int32(7), int64(7), "7". A [Value] is what they all
// mean. Two Values are equal with == exactly when [Compare] finds them equal
// and when their ordered encodings are the same bytes, so a Value can be a map
// key, a part of a primary key and a literal of a filter alike.
//
// # Kinds
//
// A column has one [Kind], and whatever is read from it is converted to that
// kind with [Convert]; values of different kinds are never equal. [Of] gives a
// Go value the kind that is natural to it, [Parse] reads the text form that
// [Value.String] writes.
//
// # Order
//
// [Compare] is a total order: first by kind, then by value. NULL is the least
// of all. False is less than true; numbers are ordered by size, exactly, NaN
// being equal to itself and greater than everything (as in Postgres), and -0
// being 0; texts and bytes by their bytes; times by instant.
// [Value.AppendOrdered] writes a value as bytes that compare in the same order,
// alone and in sequence.
package value
