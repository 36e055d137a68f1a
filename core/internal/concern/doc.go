// Package concern finds the bindings that a row concerns: of the many bindings of one
// loader, those whose filter it meets and those that hold it ([Pool]). It also finds the
// rows that show a row of another table ([Links]). So the cost of a change depends on the
// bindings that it concerns, and not on how many there are.
package concern
