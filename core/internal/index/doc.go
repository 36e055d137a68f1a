// Package index finds the filters that a row can meet, among many, without
// evaluating each.
//
// An [Index] holds members, each with a [filter.Expr]. Given a row it visits
// every member whose expression is true, and few others. These are candidates:
// the caller evaluates their expressions. The index may visit too many, but
// never too few. That keeps it simple: whatever it does not understand
// restricts nothing.
//
// # Paths
//
// An expression becomes a few paths, and a row for which it is true meets at
// least one of them. A path is a conjunction of restrictions of one column
// each: to some values (=, IN, IS NULL), or to an interval (<, <=, >, >=). OR
// makes several paths, AND combines those of its parts, NOT is pushed down to
// the comparisons. Other conditions (<>, NOT IN, IS NOT NULL, and whatever needs
// more than maxEntries paths) are left out of a conjunction, which only adds
// candidates. If nothing remains, the member is scanned: every row visits it.
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
// Values with equal 64-bit hashes are not compared: if they differ after all,
// the index visits a candidate too many. The hash has a random seed, so clients
// that choose values cannot cause collisions.
//
// # Cost
//
// With n members, adding and removing one costs O(1) for each of its entries,
// or O(log n) where there is an interval. [Index.Match] costs O(1) for each
// family, or O(log n) where there are intervals, and what it visits. Finding k
// intervals of n that contain a value takes O(log n + k) when they begin or end
// together, or nest, and O(log n + k·log(n/k)) at worst.
package index
