// Package clienttest holds clients of the protocol (docs/protocol.md) to its
// rules: it plays a server to them, over WebSocket, Server-Sent Events and polls,
// which says everything that a server may say, breaks connections at the worst
// moments, and now and then says what no server should.
//
// # Setup
//
// A test of a client describes how one is opened, and runs the suite:
//
//	func TestConformance(t *testing.T) {
//		clienttest.Run(t, clienttest.Harness{
//			Transports: []clienttest.Transport{clienttest.SSE},
//			Open: func(ctx context.Context, f clienttest.Follow, show func(clienttest.State)) (clienttest.Client, error) {
//				return open(f, show) // calls show with each state that the client shows
//			},
//		})
//	}
//
// [Check] does the same without package testing. Both run every case on every
// transport that the harness names. A case that a client cannot pass by design is
// named in Harness.Lacks, with the reason.
//
// # What is held
//
// Every state that a client shows with a version has exactly the rows of that
// version, in its order. It gets to the version that the server has, whatever
// happened on the way, and resumes from the version that it shows. Each case says
// in its Rule which sentence of the protocol it is about.
//
// The server is plain net/http and knows nothing of Bindery's own packages, so
// that the suite tests a client against the protocol and not against Bindery.
package clienttest
