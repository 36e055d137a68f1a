// Package upkeep keeps the rows of a binding current. A registry uses a binding's rows
// through the interface [Rows]. [Fed] implements it for rows that a feed reads from the
// database; package replication does so for rows that another node publishes.
package upkeep
