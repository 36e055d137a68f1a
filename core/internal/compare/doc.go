// Package compare reads a table as comparisons see it: the rows that its bindings ought to
// hold, by as few statements as possible, and what the bindings do hold of them. It is
// what package audit, which knows neither loaders nor bindings, compares.
package compare
