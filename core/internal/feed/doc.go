// Package feed keeps the bindings of one table current: it takes what sources have
// reported of the table, reads it from the database in one batch, and publishes what
// that makes of each binding.
//
// A [Feed] has one goroutine for its batches, which alone publishes. Whatever may take long
// is done on others, which hand their results to it, so that slow reads hold up nobody:
// bindings are read in full in the background, and a comparison looks for what nobody has
// reported (package audit says how, package compare reads for it).
//
// What is still to be done is kept in package backlog; package changelog knows the logs of
// sources that notice commits afterwards; package badrows finds out which rows make
// a read fail; package concern knows which bindings a row concerns.
package feed
