// Package status has plain structs for the status of bindings, families, sources and feeds,
// for programs, admin pages and metrics. They encode to JSON that people can read: words
// for states, text for errors.
package status
