// Package concern finds out whom a row concerns: of the many bindings over one
// loader, those whose filter it meets and those that hold it ([Pool]), and the rows
// that show a row of another table ([Links]). A change then costs what it changes,
// however many bindings there are.
package concern
