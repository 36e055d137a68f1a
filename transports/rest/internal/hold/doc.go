// Package hold holds requests until something happens, within bounds of number and
// time, and ends them when the transport or the HTTP server shuts down.
package hold
