// Package reading answers GET and HEAD for lists, pages, rows and changes: with 304
// where a precondition allows it, and later where the client is willing to wait.
package reading
