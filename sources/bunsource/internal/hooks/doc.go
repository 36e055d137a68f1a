// Package hooks is the query hook for Bun: it waits until the affected bindings show
// a write. If the driver is not wrapped, it also finds out by itself what is written.
package hooks
