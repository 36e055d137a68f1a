// Package client follows the bindings of a Bindery server from another Go program:
// typed rows, in the binding's order, always current.
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
// The address is that of the server's event streams (docs/protocol.md). [Open] does
// no input or output by itself: the connection is made beside, again and again, with
// a back-off that is spread, until [Rows.Close] or until the server refuses.
//
// # Delivery
//
// A batch is applied when its last message has come, so a [State] never shows half of
// a transaction. After a break the client resumes from the version that it shows:
// what is sent is what has changed since, nothing when nothing has, and everything
// when the server's log does not reach back. Whoever looks at states slowly sees the
// newest one. What makes no sense is not shown: the client asks for everything anew.
//
// # Errors
//
// While there is no connection the state is [Stale], with the reason. A server that
// refuses (a status of 400 to 499, but for those that ask to come again) closes the
// client, and its last state says why. Credentials are asked for by
// [Config].Header at each connection.
//
// # Limits
//
// [Config] bounds an event, a batch, and all that is held. A connection that is silent
// for longer than [Config].Silence is given up.
//
// [Stream] is the same without rows: for programs that keep them in their own way.
package client
