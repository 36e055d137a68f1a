package natssource

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/binderyhq/bindery/core/driver"
)

// protocol is the version of the messages. Nodes of different versions read
// each other's reports as "everything may have changed".
const protocol = 1

// kind says what a message is for.
type kind string

const (
	kindReport kind = "report" // rows may have changed; the only one with a number of its own
	kindBeat   kind = "beat"   // the sender lives, and its last number is Seq
	kindHello  kind = "hello"  // the sender asks all others for a beat
	kindBye    kind = "bye"    // the sender stops, and its last number is Seq
)

// message is one message of a relay.
type message struct {
	Version int      `json:"v"`
	Kind    kind     `json:"kind"`
	Node    string   `json:"node"`
	Seq     uint64   `json:"seq"`
	Changes []change `json:"changes,omitempty"`
}

// change is a [driver.Change] on the wire. Keys that are absent mean the whole
// table, and an empty list means no row at all.
type change struct {
	Database string    `json:"database,omitempty"`
	Schema   string    `json:"schema,omitempty"`
	Table    string    `json:"table,omitempty"`
	Keys     *[]string `json:"keys,omitempty"` // base64
}

var keyText = base64.RawURLEncoding

func changeOf(c driver.Change) change {
	out := change{Database: c.Table.Database, Schema: c.Table.Schema, Table: c.Table.Name}
	if c.Keys != nil {
		keys := make([]string, len(c.Keys))
		for i, k := range c.Keys {
			keys[i] = keyText.EncodeToString([]byte(k))
		}
		out.Keys = &keys
	}
	return out
}

func (c change) decoded() (driver.Change, error) {
	out := driver.Change{Table: driver.Table{Database: c.Database, Schema: c.Schema, Name: c.Table}}
	if c.Keys == nil {
		return out, nil
	}
	out.Keys = make([]driver.Key, len(*c.Keys))
	for i, text := range *c.Keys {
		raw, err := keyText.DecodeString(text)
		if err != nil {
			return out, fmt.Errorf("key %d of table %q: %w", i, out.Table, err)
		}
		out.Keys[i] = driver.Key(raw)
		if _, err := out.Keys[i].Values(); err != nil {
			return out, fmt.Errorf("key %d of table %q: %w", i, out.Table, err)
		}
	}
	return out, nil
}

func (m message) encoded() ([]byte, error) { return json.Marshal(m) }

// decode reads a message. If only the rest is unreadable, it returns the message's node
// beside the error.
func decode(data []byte) (message, []driver.Change, error) {
	var m message
	if err := json.Unmarshal(data, &m); err != nil {
		return message{}, nil, fmt.Errorf("natssource: reading a message: %w", err)
	}
	switch {
	case m.Node == "" || len(m.Node) > maxNodeID:
		return message{}, nil, fmt.Errorf("natssource: reading a message: the node's name %q does not have 1 to %d bytes", clipped(m.Node), maxNodeID)
	case m.Version != protocol:
		return m, nil, fmt.Errorf("natssource: reading a message of node %q: version %d of the protocol, this node speaks %d", m.Node, m.Version, protocol)
	}
	switch m.Kind {
	case kindBeat, kindHello, kindBye:
		return m, nil, nil
	case kindReport:
	default:
		return m, nil, fmt.Errorf("natssource: reading a message of node %q: unknown kind %q", m.Node, clipped(string(m.Kind)))
	}
	if m.Seq == 0 {
		return m, nil, fmt.Errorf("natssource: reading a report of node %q: %w", m.Node, errors.New("it has no number"))
	}
	changes := make([]driver.Change, len(m.Changes))
	for i, c := range m.Changes {
		var err error
		if changes[i], err = c.decoded(); err != nil {
			return m, nil, fmt.Errorf("natssource: reading report %d of node %q: %w", m.Seq, m.Node, err)
		}
	}
	return m, changes, nil
}

// maxNodeID bounds the length of a node's name, in bytes.
const maxNodeID = 64

func clipped(s string) string {
	if len(s) > maxNodeID {
		return s[:maxNodeID] + "…"
	}
	return s
}

// size returns the length of the message on the wire, in bytes, without the names that
// send fills in.
func (m message) size() (int, error) {
	data, err := m.encoded()
	return len(data) + maxNodeID, err
}

// widen replaces the keys by whole tables.
func (m *message) widen() {
	for i := range m.Changes {
		m.Changes[i].Keys = nil
	}
}
