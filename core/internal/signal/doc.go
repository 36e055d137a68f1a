// Package signal has two small ways in which goroutines tell each other something: a
// [Notice] that something has changed, and a [Group] that counts who still runs.
package signal
