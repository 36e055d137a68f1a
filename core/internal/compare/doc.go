// Package compare reads the two sides of a comparison for package audit, which knows neither
// loaders nor bindings: the rows that bindings should hold, with as few statements as
// possible, and the rows that they do hold.
package compare
