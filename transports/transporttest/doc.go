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
//   - A client first gets the whole state and then every change, in order,
//     without gap or repetition. After each batch it holds exactly the binding's
//     rows at the version that the batch names: it never sees half a transaction.
//   - A client that comes back with a version loses nothing, wherever the
//     connection broke: the version may be current, in the log, too old, or not a
//     version at all.
//   - A client that does not read holds up nobody. When it reads again it gets the
//     changes merged, not one by one.
//   - Clients that vanish leave no subscription behind.
//   - Bindings may be unknown, not loaded yet, added late or removed.
//   - A family's member is a separate binding; errors name the wrong parameters.
//   - The authorizer is asked. Clients do not see rows that it does not allow: in
//     states, changes, deletes and pages, when they resume from somebody else's
//     version, or when rights are withdrawn while they are connected.
//   - Shutdown ends open connections between batches and before its deadline, even
//     if a client does not read, others connect at the same time, or the HTTP
//     server is shut down first.
//   - Nobody modifies the bytes that the engine handed out.
//
// If a transport lacks an ability, it says so in [Abilities]. The suite checks that as
// well.
package transporttest
