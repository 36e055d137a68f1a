// Package client follows the bindings of a Bindery server from another Go program, and
// keeps typed rows in the binding's order, always current.
//
// # Setup
//
//	products, err := client.Open[Product]("http://127.0.0.1:8080/events", "products")
//	if err != nil { … }
//	defer products.Close()
//	for state := range products.States(ctx) {
//		fmt.Println(state.Status, state.Len())
//	}
//
// Pass the address of the server's event streams (docs/protocol.md). [Open] does no I/O
// itself: it connects in the background, again and again, with a randomised back-off, until
// [Rows.Close] or until the server refuses.
//
// # Delivery
//
// The client applies a batch when its last message has come, so a [State] never shows half
// of a transaction. After a lost connection it resumes from its version: the server sends
// the changes since then, if any, or all rows when its log does not reach back that far. A
// slow consumer of states gets the newest one. Malformed messages are not shown: the client
// requests all rows anew.
//
// # Errors
//
// Without a connection the state is [Stale], with the reason, or [Connecting] if there are
// no rows yet. A refusal by the server (a status of 400 to 499, except those that ask to
// retry) closes the client, and its last state says why. [Config].Header supplies
// credentials for each connection.
//
// # Limits
//
// [Config] bounds an event, a batch, and all rows. The client drops a connection that is
// silent for longer than [Config].Silence.
//
// [Stream] is the same without rows, for programs that store rows in their own way.
package client
