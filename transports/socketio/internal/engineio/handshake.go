package engineio

import (
	"encoding/json"
	"time"
)

// Handshake is the server's first message to a client: the data of an Open packet.
type Handshake struct {
	// SID names the session in the client's next requests.
	SID string
	// Upgrades are the transports that the client may change to.
	Upgrades []string
	// The server pings at PingInterval. A side that has heard nothing for PingInterval
	// plus PingTimeout gives up. Clients read milliseconds.
	PingInterval, PingTimeout time.Duration
	// MaxPayload bounds one payload of the client, in bytes.
	MaxPayload int64
}

// Packet returns the handshake as a packet.
func (h Handshake) Packet() Packet {
	upgrades := h.Upgrades
	if upgrades == nil {
		upgrades = []string{} // clients expect a list
	}
	data, err := json.Marshal(struct {
		SID          string   `json:"sid"`
		Upgrades     []string `json:"upgrades"`
		PingInterval int64    `json:"pingInterval"`
		PingTimeout  int64    `json:"pingTimeout"`
		MaxPayload   int64    `json:"maxPayload"`
	}{h.SID, upgrades, h.PingInterval.Milliseconds(), h.PingTimeout.Milliseconds(), h.MaxPayload})
	if err != nil { // texts and numbers always marshal
		panic("engineio: encoding a handshake: " + err.Error())
	}
	return Packet{Type: Open, Data: data}
}
