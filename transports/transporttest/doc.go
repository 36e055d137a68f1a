// Package transporttest tests transports against Bindery's promises to clients. It
// serves the transports of this module and those that users write. It needs only the
// standard library and Bindery's core.
//
// # Setup
//
// Write a [Harness]. It makes the transport, serves it, and connects clients that
// translate what they receive into [Message]s. Then
//
//	func TestConformance(t *testing.T) { transporttest.Run(t, newHarness) }
//
// [Check] is the same without a testing.T. Run the tests with -race, and with a check
// for leaked goroutines in TestMain: the suite ends everything that it starts, so any
// that are left are the transport's.
//
// # What is checked
//
//   - A client begins with the whole state, and is told of every change, in
//     order, without gap or repetition. After each batch it holds exactly what
//     the binding held at the version that the batch names: no half
//     transaction is ever seen.
//   - A client that comes back with a version loses nothing, whether that is
//     current, in the log, too old, or not a version at all; wherever the
//     connection broke.
//   - A client that does not read holds up nobody, and is not sent everything
//     that it missed once it reads again.
//   - Clients that vanish leave no subscription behind.
//   - Bindings that are unknown, not loaded yet, added late or removed.
//   - A family's member is a binding of its own; wrong parameters are named.
//   - The authorizer is asked. What it does not allow is not shown: not in
//     states, changes, deletes and pages, not to who resumes from a version of
//     somebody else, and not to who is connected when rights are withdrawn.
//   - Shutdown ends open connections between batches and before its deadline,
//     also when a client does not read, when others come at the same time, and
//     when the HTTP server is shut down first.
//   - Nobody modifies the bytes that the engine handed out.
//
// If a transport lacks an ability, it says so in [Abilities]. The suite checks that as
// well.
package transporttest
