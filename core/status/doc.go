// Package status has plain structs that say how bindings, families, sources and
// feeds are, for programs, admin pages and metrics. They encode to JSON that
// people can read: words for states, text for errors.
package status
