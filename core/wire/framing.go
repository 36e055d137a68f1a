package wire

// Framing is what the packets of a transport have around a message: Before, the
// binding's name as a JSON string, Between, the message and After. The zero value
// is no frame, without the name. Framed messages are built once as bare ones are,
// so that a client costs no copy.
type Framing struct{ Before, Between, After string }

// open returns what stands before a message about the binding.
func (f Framing) open(binding string) []byte {
	if f == (Framing{}) {
		return nil
	}
	return append(append([]byte(f.Before), quote(binding)...), f.Between...)
}

// Frame puts a message about the subject into the encoder's frame. Those that the
// encoder makes itself are in it already.
func (enc *Encoder) Frame(s Subject, m Message) Message {
	if enc.framing == (Framing{}) {
		return m
	}
	return Message{m.Action, append(append(enc.framing.open(s.Binding), m.JSON...), enc.framing.After...)}
}
