package engineio

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"unicode/utf8"
)

// Version is the protocol version, which clients name in the parameter EIO.
const Version = "4"

// Separator stands between the packets of a payload.
const Separator = 0x1e

// Type says what a packet is for. It is the packet's first byte.
type Type byte

// The types of packets.
const (
	Open    Type = '0' // the server's answer to the handshake
	Close   Type = '1' // the sender ends the transport
	Ping    Type = '2' // from the server; also the probe of an upgrade, from the client
	Pong    Type = '3' // the answer to either
	Message Type = '4' // a Socket.IO packet
	Upgrade Type = '5' // the client goes on over the transport that carries this
	Noop    Type = '6' // ends an open poll
)

// Packet is one packet.
type Packet struct {
	Type Type
	// Data follows the type. It shares memory with what was decoded, unless
	// Binary is set.
	Data []byte
	// Binary says that the data is an attachment's. The type is Message then.
	Binary bool
}

// Errors of decoding. The error for a payload wraps one of them.
var (
	ErrEmpty   = errors.New("engineio: an empty packet")
	ErrType    = errors.New("engineio: an unknown packet type")
	ErrBase64  = errors.New("engineio: a binary packet that is not base64")
	ErrNotUTF8 = errors.New("engineio: text that is not UTF-8")
)

// Decode reads a packet from the text of a WebSocket message.
func Decode(text []byte) (Packet, error) {
	switch {
	case len(text) == 0:
		return Packet{}, ErrEmpty
	case text[0] < byte(Open) || text[0] > byte(Noop):
		return Packet{}, ErrType
	case !utf8.Valid(text):
		return Packet{}, ErrNotUTF8
	}
	return Packet{Type: Type(text[0]), Data: text[1:]}, nil
}

// Payload yields the packets of the body of a polling request. It ends after the first
// error, which gives the number of the packet, counted from 1. It keeps no list, so a
// body of many small packets needs no further memory.
func Payload(body []byte) iter.Seq2[Packet, error] {
	return func(yield func(Packet, error) bool) {
		for n := 1; ; n++ {
			text, rest, more := bytes.Cut(body, []byte{Separator})
			p, err := decodePolled(text)
			if err != nil {
				yield(Packet{}, fmt.Errorf("packet %d of a payload: %w", n, err))
				return
			}
			if !yield(p, nil) || !more {
				return
			}
			body = rest
		}
	}
}

// Check returns the first error in a payload, or nil if all its packets can be read.
func Check(body []byte) error {
	for _, err := range Payload(body) {
		if err != nil {
			return err
		}
	}
	return nil
}

// decodePolled reads a packet of a payload, where binary data is text.
func decodePolled(text []byte) (Packet, error) {
	encoded, binary := bytes.CutPrefix(text, []byte{'b'})
	if !binary {
		return Decode(text)
	}
	data := make([]byte, base64.StdEncoding.DecodedLen(len(encoded)))
	n, err := base64.StdEncoding.Decode(data, encoded)
	if err != nil {
		return Packet{}, ErrBase64
	}
	return Packet{Type: Message, Data: data[:n], Binary: true}, nil
}

// Append appends the packet in its text form, which payloads use.
func (p Packet) Append(b []byte) []byte {
	if p.Binary {
		return base64.StdEncoding.AppendEncode(append(b, 'b'), p.Data)
	}
	return append(append(b, byte(p.Type)), p.Data...)
}
