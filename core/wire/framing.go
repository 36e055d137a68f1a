package wire

// Framing is the text that a transport's packets put around a message: Before, the
// binding's name as a JSON string, Between, the message, and After. The zero value means no
// frame and no name. A framed message is built once and shared, as a bare one is, so no
// client needs a copy of its own.
type Framing struct{ Before, Between, After string }

// open returns the frame before a message about the binding.
func (f Framing) open(binding string) []byte {
	if f == (Framing{}) {
		return nil
	}
	return append(append([]byte(f.Before), quote(binding)...), f.Between...)
}

// Frame puts a message about the subject into the encoder's frame. The encoder's own
// messages are framed already.
func (enc *Encoder) Frame(s Subject, m Message) Message {
	if enc.framing == (Framing{}) {
		return m
	}
	return Message{m.Action, append(append(enc.framing.open(s.Binding), m.JSON...), enc.framing.After...)}
}
