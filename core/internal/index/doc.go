// Package index finds the filters that a row can meet, among many, without
// evaluating each.
//
// An [Index] holds members, each with a [filter.Expr]. Given a row it visits
// every member whose expression is true, and few others: it answers with
// candidates, and the caller evaluates their expressions. That it may answer
// with too many, but never with too few, is what makes it simple: whatever it
// does not understand restricts nothing.
//
// # Paths
//
// An expression is brought into the form of a few paths, such that a row for
// which it is true is found by at least one of them. A path is a conjunction of
// restrictions of one column each: to some values (=, IN, IS NULL), or to an
// interval (<, <=, >, >=). OR makes several paths, AND combines those of its
// parts, NOT is pushed down to the comparisons. What cannot be said so (<>, NOT
// IN, IS NOT NULL, and what would be more than maxEntries paths) is left out
// of a conjunction, which only lengthens its answer. If nothing remains, the
// member is scanned: every row visits it.
//
// Paths that restrict the same columns make a family. There are as many
// families as there are shapes of filters, usually a handful, however many
// members they have.
//
// # Structure
//
// The values of a path's equalities are hashed together; the hash leads to a
// bucket. A path with an interval as well finds in its bucket a tree of
// intervals instead of a list. Of several intervals one is used, and a path
// without equalities has its family's only bucket. So a row costs one look-up
// for each family, and one step down a tree for those with an interval:
//
//	families → hash of the values → members
//	                              → intervals → members
//
// Equal values need not be compared once their hashes, of 64 bits, are equal:
// if two differ after all, a candidate too many is visited. The hash has a
// random seed, so clients that choose the values cannot aim for that.
//
// # Cost
//
// With n members, adding and removing one costs O(1) for each of its entries,
// or O(log n) where there is an interval. [Index.Match] costs O(1) for each
// family, or O(log n) where there are intervals, and what it visits. Finding k
// intervals of n that contain a value takes O(log n + k) when they begin or end
// together, or nest, and O(log n + k·log(n/k)) at worst.
package index
