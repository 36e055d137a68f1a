// Package feed keeps the bindings of one table current: it gathers the reports of sources,
// reads the reported rows from the database in one batch, and publishes a new version of
// each binding that they change.
//
// Only the goroutine that runs a [Feed]'s batches publishes. Slow work runs on other
// goroutines, which pass their results to it: reads of bindings in full, and comparisons,
// which find unreported changes (see packages audit and compare).
//
// Package backlog holds the feed's open work. Package changelog tracks the logs of sources
// that notice commits afterwards, package badrows finds the rows that make a read fail, and
// package concern finds the bindings that a row concerns.
package feed
