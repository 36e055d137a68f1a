// Package buntest opens databases for tests of what is built on Bun, and waits.
//
// It is for tests: it imports testing.
package buntest
