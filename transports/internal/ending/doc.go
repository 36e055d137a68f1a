// Package ending ends the streams and connections of a transport. [Open] holds them; at
// the transport's Shutdown it tells them to end, waits, and cuts those that do not.
// [Servers] tells when the HTTP server of a request is being shut down.
//
// [http.Server.Shutdown] waits for open event streams without telling them, and
// forgets hijacked connections. The application may run several servers over one
// handler (Echo has two, plain and TLS), and shut them down one by one.
package ending
