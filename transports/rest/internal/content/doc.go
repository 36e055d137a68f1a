// Package content builds what answers carry: the bodies of lists, pages and rows
// with their entity tags, in all codings, each once and shared by all who ask.
package content
