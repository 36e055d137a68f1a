// Package notmodified answers requests to the application's own handlers with 304, by
// the versions of the bindings that a handler reads. Package rest documents it for
// its users.
package notmodified
