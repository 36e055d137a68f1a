package engineio_test

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/transports/socketio/internal/engineio"
)

// read decodes a whole payload.
func read(body []byte) (packets []engineio.Packet, err error) {
	for p, err := range engineio.Payload(body) {
		if err != nil {
			return packets, err
		}
		packets = append(packets, p)
	}
	return packets, nil
}

// TestPayload reads the examples of the protocol's specification.
func TestPayload(t *testing.T) {
	for body, want := range map[string][]engineio.Packet{
		"4hello":                  {{Type: engineio.Message, Data: []byte("hello")}},
		"4hello\x1e2\x1e4world":   {{Type: engineio.Message, Data: []byte("hello")}, {Type: engineio.Ping, Data: []byte{}}, {Type: engineio.Message, Data: []byte("world")}},
		"4hello\x1ebAQIDBA==":     {{Type: engineio.Message, Data: []byte("hello")}, {Type: engineio.Message, Data: []byte{1, 2, 3, 4}, Binary: true}},
		"4€\x1e3probe":            {{Type: engineio.Message, Data: []byte("€")}, {Type: engineio.Pong, Data: []byte("probe")}},
		"1":                       {{Type: engineio.Close, Data: []byte{}}},
		"0{}\x1e5\x1e6\x1e4\x1eb": {{Type: engineio.Open, Data: []byte("{}")}, {Type: engineio.Upgrade, Data: []byte{}}, {Type: engineio.Noop, Data: []byte{}}, {Type: engineio.Message, Data: []byte{}}, {Type: engineio.Message, Data: []byte{}, Binary: true}},
	} {
		got, err := read([]byte(body))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v", body, got, err)
		}
	}
}

func TestMalformed(t *testing.T) {
	for body, want := range map[string]error{
		"":              engineio.ErrEmpty,
		"abc":           engineio.ErrType,
		"7":             engineio.ErrType,
		"4a\x1e":        engineio.ErrEmpty,
		"\x1e4a":        engineio.ErrEmpty,
		"4a\x1ex":       engineio.ErrType,
		"b!":            engineio.ErrBase64,
		"4a\x1ebAQI":    engineio.ErrBase64,
		"4\xff":         engineio.ErrNotUTF8,
		"4a\x1e4\xc3":   engineio.ErrNotUTF8,
		"4a\x1e\x1e4bc": engineio.ErrEmpty,
	} {
		if err := engineio.Check([]byte(body)); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", body, err, want)
		}
	}
	// A WebSocket message has no packets of other kinds.
	for text, want := range map[string]error{"": engineio.ErrEmpty, "bAQ==": engineio.ErrType, "4\xff": engineio.ErrNotUTF8} {
		if _, err := engineio.Decode([]byte(text)); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

// TestPayloadsReadBack: a payload of any packets is read as these.
func TestPayloadsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) engineio.Packet {
			if rapid.Bool().Draw(t, "binary") {
				return engineio.Packet{Type: engineio.Message, Data: rapid.SliceOf(rapid.Byte()).Draw(t, "data"), Binary: true}
			}
			text := rapid.StringMatching(`[^\x1e]*`).Draw(t, "text")
			return engineio.Packet{Type: engineio.Type(rapid.ByteRange('0', '6').Draw(t, "type")), Data: []byte(text)}
		}), 1, 5).Draw(t, "packets")
		var body []byte
		for i, p := range want {
			if i > 0 {
				body = append(body, engineio.Separator)
			}
			body = p.Append(body)
		}
		got, err := read(body)
		if err != nil || !slices.EqualFunc(got, want, equal) {
			t.Fatalf("%q: %v, %v", body, got, err)
		}
	})
}

func equal(a, b engineio.Packet) bool {
	return a.Type == b.Type && a.Binary == b.Binary && bytes.Equal(a.Data, b.Data)
}

func TestHandshake(t *testing.T) {
	h := engineio.Handshake{SID: "abc", PingInterval: 25 * time.Second, PingTimeout: 20 * time.Second, MaxPayload: 65536}
	const want = `0{"sid":"abc","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":65536}`
	if got := string(h.Packet().Append(nil)); got != want {
		t.Error(got)
	}
}

// FuzzPayload: what can be read is written as what reads the same.
func FuzzPayload(f *testing.F) {
	for _, s := range []string{"4hello\x1e2\x1ebAQIDBA==", "", "\x1e", "b", "40{}\x1e42[\"a\"]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		packets, err := read(body)
		if err != nil {
			return
		}
		var again []byte
		for i, p := range packets {
			if i > 0 {
				again = append(again, engineio.Separator)
			}
			again = p.Append(again)
		}
		back, err := read(again)
		if err != nil || !slices.EqualFunc(back, packets, equal) {
			t.Errorf("%q became %q: %v", body, again, err)
		}
		for _, p := range packets {
			if p.Binary {
				continue
			}
			if one, err := engineio.Decode(p.Append(nil)); err != nil || !equal(one, p) {
				t.Errorf("%v by itself: %v, %v", p, one, err)
			}
		}
	})
}
