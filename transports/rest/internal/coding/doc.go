// Package coding knows the content codings that bodies are sent in: it chooses
// one by the request's Accept-Encoding header (RFC 9110, section 12.5.3), and
// compresses.
package coding
