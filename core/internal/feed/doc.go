// Package feed keeps the bindings of one table current: it takes what sources have
// reported of the table, reads it from the database in one batch, and publishes what
// that makes of each binding.
//
// A [Feed] has a goroutine for its batches. Two more work beside it, so that slow reads
// hold up nobody: one reads bindings in trouble, the other compares the table with what
// the bindings hold (see package audit). Both hand their results to the feed's goroutine,
// which alone publishes.
package feed
