// Package graceful lets HTTP servers end within the time that a supervisor gives
// a program.
//
// Call the registry's Shutdown first. It ends event streams, for which
// [http.Server.Shutdown] would wait, and WebSockets, which the server does not know.
// Only connections without a request remain. Browsers and connection pools keep such
// connections ready, and the server's Shutdown waits five seconds for their first
// request. [CloseUnused] removes this wait.
package graceful
