// Package packet reads and writes the packets of Socket.IO, protocol revision 5.
// Each travels as the data of an Engine.IO message.
//
//	<type>[<attachments>-][<namespace>,][<id>][<JSON>]
package packet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// Type says what a packet is for.
type Type byte

// The types of packets.
const (
	Connect      Type = '0' // the client enters a namespace, or the server confirms that
	Disconnect   Type = '1' // either side leaves a namespace
	Event        Type = '2'
	Ack          Type = '3' // the answer to an event that has an id
	ConnectError Type = '4' // the server refuses a Connect
	BinaryEvent  Type = '5' // an event whose attachments follow as binary messages
	BinaryAck    Type = '6' // an Ack whose attachments follow as binary messages
)

// Main is the namespace that packets without one belong to.
const Main = "/"

// Packet is one packet.
type Packet struct {
	Type Type
	// Namespace begins with a slash.
	Namespace string
	// HasID says that the packet has an ID. An event with an ID asks for an
	// acknowledgement with the same ID.
	HasID bool
	ID    uint64
	// Attachments is the number of binary messages that follow a BinaryEvent or
	// BinaryAck.
	Attachments int
	// Data is valid JSON, nil for none: an object in Connect and ConnectError, an array
	// in the other types. It shares memory with the text that was decoded.
	Data json.RawMessage
}

// Errors of decoding.
var (
	ErrType        = errors.New("packet: an unknown packet type")
	ErrAttachments = errors.New("packet: a binary packet without a number of attachments")
	ErrID          = errors.New("packet: an id that is no number below 2^53")
	ErrData        = errors.New("packet: data that does not go with the packet's type")
)

// Bounds of the numbers in a packet. An ID is at most the largest integer that
// JavaScript holds exactly.
const (
	maxID                = 1<<53 - 1
	maxIDDigits          = 16
	maxAttachmentsDigits = 9
)

// Decode reads a packet.
func Decode(text []byte) (Packet, error) {
	if len(text) == 0 || text[0] < byte(Connect) || text[0] > byte(BinaryAck) {
		return Packet{}, ErrType
	}
	p := Packet{Type: Type(text[0]), Namespace: Main}
	rest := text[1:]
	if p.Type == BinaryEvent || p.Type == BinaryAck {
		digits, after, found := bytes.Cut(rest, []byte{'-'})
		if !found || !number(digits, maxAttachmentsDigits) {
			return Packet{}, ErrAttachments
		}
		p.Attachments, _ = strconv.Atoi(string(digits)) // only digits, so there is no error
		rest = after
	}
	if len(rest) > 0 && rest[0] == '/' {
		name, after, _ := bytes.Cut(rest, []byte{','})
		p.Namespace, rest = string(name), after
	}
	if n := len(rest) - len(bytes.TrimLeft(rest, "0123456789")); n > 0 {
		id, err := strconv.ParseUint(string(rest[:n]), 10, 64)
		if err != nil || n > maxIDDigits || id > maxID {
			return Packet{}, ErrID
		}
		p.HasID, p.ID, rest = true, id, rest[n:]
	}
	if len(rest) > 0 {
		p.Data = rest
	}
	if !p.sound() {
		return Packet{}, ErrData
	}
	return p, nil
}

// number reports whether the text consists of one to so many digits.
func number(text []byte, digits int) bool {
	return len(text) > 0 && len(text) <= digits && len(bytes.Trim(text, "0123456789")) == 0
}

// sound reports whether the data has the form that the type requires.
func (p Packet) sound() bool {
	kind := byte(0)
	if len(p.Data) > 0 {
		kind = p.Data[0]
		if !json.Valid(p.Data) {
			return false
		}
	}
	switch p.Type {
	case Connect:
		return kind == 0 || kind == '{'
	case Disconnect:
		return kind == 0
	case ConnectError:
		return kind == '{' || kind == '"'
	case Event, BinaryEvent:
		_, _, err := p.Event()
		return err == nil
	default:
		return kind == '['
	}
}

// reserved holds the names of the events that Socket.IO's libraries emit themselves.
// Clients cannot use these names for other events.
var reserved = map[string]bool{
	"connect": true, "connect_error": true, "disconnect": true, "disconnecting": true, "newListener": true, "removeListener": true,
}

// Reserved reports whether no event can have this name.
func Reserved(name string) bool { return reserved[name] }

// Event returns the name of an event and its first argument, which is nil when
// there is none. A number as name, which the protocol allows, is returned as its
// text. Further arguments are ignored.
func (p Packet) Event() (name string, arg json.RawMessage, err error) {
	dec := json.NewDecoder(bytes.NewReader(p.Data))
	dec.UseNumber()
	if open, err := dec.Token(); err != nil || open != json.Delim('[') {
		return "", nil, ErrData
	}
	first, err := dec.Token()
	if err != nil {
		return "", nil, ErrData
	}
	switch first := first.(type) {
	case string:
		name = first
	case json.Number:
		name = first.String()
	default:
		return "", nil, ErrData
	}
	if Reserved(name) {
		return "", nil, ErrData
	}
	if dec.More() {
		if err := dec.Decode(&arg); err != nil {
			return "", nil, ErrData
		}
	}
	return name, arg, nil
}

// Append appends the packet's text.
func (p Packet) Append(b []byte) []byte {
	b = append(b, byte(p.Type))
	if p.Type == BinaryEvent || p.Type == BinaryAck {
		b = append(strconv.AppendInt(b, int64(p.Attachments), 10), '-')
	}
	if p.Namespace != "" && p.Namespace != Main {
		b = append(append(b, p.Namespace...), ',')
	}
	if p.HasID {
		b = strconv.AppendUint(b, p.ID, 10)
	}
	return append(b, p.Data...)
}

// CheckNamespace returns an error if a namespace's name is invalid.
func CheckNamespace(name string) error {
	if name == "" || name[0] != '/' {
		return fmt.Errorf("namespace %q does not begin with a slash", name)
	}
	for _, r := range name {
		if r <= ' ' || r == ',' || r == '?' || r == '"' || r == '\\' || r == 0x7f || r == 0xfffd {
			return fmt.Errorf("namespace %q contains %q", name, r)
		}
	}
	return nil
}
