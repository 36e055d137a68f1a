// Package assembly checks what a program has put together before anything starts, names
// every problem at once with the place in the program that it comes from, and tells the
// log what was started and what nobody watches.
package assembly
