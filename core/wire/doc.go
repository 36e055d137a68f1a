// Package wire has the messages of the wire (docs/protocol.md), the same over every
// transport: it encodes what happens to bindings, and decodes what was received.
//
// # Sending
//
// An [Encoder] turns a [live.Event] into a [Batch] of messages. Batches and
// messages are built when somebody first asks for them and then shared by all
// clients of all transports whose [Limits] are equal: they are kept with the
// event, by [live.Memo], and live as long as it does. Nobody modifies a
// message's bytes. A transport encodes with [NewEncoder], or with
// [NewReplicaEncoder] for those who follow a binding as a whole.
//
// # Receiving
//
// [Decode] reads one message, [EventReader] the events of a stream, and a
// [Gatherer] holds the messages of a batch until it is complete: a receiver applies
// the [Step] that it returns, and then remembers its version. What is malformed is an
// error that says why. All of them bound what they hold.
//
// Functions and encoders may be used from any goroutine; readers and gatherers
// belong to one.
package wire
