//go:build race

package rest

// raced says that the race detector runs, with which a sync.Pool forgets a part of what
// it is given.
const raced = true
