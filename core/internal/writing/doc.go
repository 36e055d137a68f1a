// Package writing carries out a client's write: it takes the body apart by the columns
// that the binding shows, checks that the row may be written and stays where it must,
// and has the loader write it, all in one transaction.
package writing
