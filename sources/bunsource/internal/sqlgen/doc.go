// Package sqlgen writes the SQL that the loader reads with: statements for a query,
// conditions for filters and keys, orders, and the search for rows that refer to
// others. It runs nothing.
//
// The database must read the SQL as the engine means it: literals reach the database
// unaltered, and rows come in the engine's order.
package sqlgen
