// Package request reads what a request says in its URL and in the header Prefer:
// which row, which part of a list, and how long it may be held.
package request
