// Package clienttest tests clients against the rules of the protocol
// (docs/protocol.md). It acts as a server over WebSocket, Server-Sent Events and polls.
// This server sends everything that a real one may send, breaks connections at the
// worst moments, and sometimes sends messages that no server should.
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
// [Check] does the same without package testing. Both run every case on every transport
// that the harness names. Name a case that the client cannot pass by design in
// Harness.Lacks, with the reason.
//
// # What is checked
//
// Every state that a client shows with a version has exactly the rows of that version,
// in its order. The client reaches the server's version, whatever happens on the way,
// and resumes from the version that it shows. The Rule of each case says which rule of
// the protocol it tests.
//
// The server uses plain net/http and none of Bindery's packages. So the suite tests a
// client against the protocol and not against Bindery.
package clienttest
