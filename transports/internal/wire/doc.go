// Package wire encodes what happens to bindings as the messages that clients
// receive, the same over every transport.
//
// An [Encoder] turns a [live.Event] into a [Batch] of messages. Batches and
// messages are built when somebody first asks for them and then shared by all
// clients of all transports whose [Limits] are equal: they are kept with the
// event, by [live.Event.Memo], and live as long as it does. Nobody modifies a
// message's bytes.
//
// All functions may be called from any goroutine.
package wire
