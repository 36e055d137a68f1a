// Package upkeep keeps the rows of a binding current. A registry does everything with a
// binding's rows through one interface, [Rows]: here is the one whose rows a feed reads
// from the database, [Fed]; package replication has the one whose rows another node
// publishes.
package upkeep
