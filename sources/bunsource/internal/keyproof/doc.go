// Package keyproof finds the rows that a statement may change: their keys, if text
// and arguments prove them, or the whole table. It refines this with the database's
// answer.
package keyproof
