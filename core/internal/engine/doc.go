// Package engine runs one feed for each table (see package feed), and the sources that
// report to them. It sends a change to the feeds that it concerns: the table's own, those
// with bindings that depend on the table, and those whose rows show rows of it.
package engine
