// Package wire implements the messages of the protocol (docs/protocol.md), which are the
// same over every transport: it encodes events of bindings, and decodes received messages.
//
// # Sending
//
// An [Encoder] turns a [live.Event] into a [Batch] of messages. Batches and messages are
// built on first use and then shared by all clients of all transports with equal [Limits]:
// [live.Memo] keeps them with the event, as long as that lives. The bytes of a message must
// not be modified. A transport makes its encoder with [NewEncoder], or with
// [NewReplicaEncoder] for followers of a whole binding.
//
// # Receiving
//
// [Decode] reads one message, an [EventReader] reads the events of a stream, and a
// [Gatherer] holds the messages of a batch until it is complete: the receiver applies the
// [Step] that it returns, and then stores the step's version. Malformed input gives an
// error with the reason. All of them bound the memory that they use.
//
// Functions and encoders may be used from any goroutine, readers and gatherers by only one.
package wire
