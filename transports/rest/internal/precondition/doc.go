// Package precondition evaluates the preconditions of requests (RFC 9110, section
// 13): If-Match, If-None-Match, If-Modified-Since and If-Unmodified-Since.
package precondition
