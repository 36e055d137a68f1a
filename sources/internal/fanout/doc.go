// Package fanout brings the changes of one database to the sinks of all
// registries that watch it: it announces them before a commit, confirms them
// after it, and reports again what may become visible later.
package fanout
