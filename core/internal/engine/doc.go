// Package engine runs one feed for each table (see package feed), and the sources that
// report to them. It knows which feeds a change concerns: the table's own, and those
// whose rows are made of the table's, or show them.
package engine
