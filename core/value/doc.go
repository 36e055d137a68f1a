// Package value holds the values of columns in one small, comparable form.
//
// A database driver, a Go struct, a URL and a replication log spell the same value in
// different ways: int32(7), int64(7), "7". A [Value] is the one form for all of them. Two
// Values are equal with == exactly when [Compare] returns 0 and when their ordered
// encodings are the same bytes. So a Value can serve as map key, as part of a primary key
// and as literal of a filter.
//
// # Kinds
//
// A column has one [Kind], and [Convert] converts everything read from it to that kind;
// values of different kinds are never equal. [Of] gives a Go value its natural kind,
// [Parse] reads the text that [Value.String] writes.
//
// # Order
//
// [Compare] is a total order: first by kind, then by value. NULL is the least. False is
// less than true. Numbers are ordered exactly by size; NaN equals itself and is greater
// than everything else (as in Postgres), and -0 equals 0. Texts and bytes are ordered by
// their bytes, times by instant. [Value.AppendOrdered] encodes a value as bytes that
// compare in the same order, alone and in sequence.
package value
