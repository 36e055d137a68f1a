package packet_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/transports/socketio/internal/packet"
)

// TestDecode reads the examples of the protocol's specification, and what
// clients send beside them.
func TestDecode(t *testing.T) {
	for text, want := range map[string]packet.Packet{
		`0`:                                {Type: packet.Connect, Namespace: "/"},
		`0{"token":"123"}`:                 {Type: packet.Connect, Namespace: "/", Data: []byte(`{"token":"123"}`)},
		`0/admin,{"token":"123"}`:          {Type: packet.Connect, Namespace: "/admin", Data: []byte(`{"token":"123"}`)},
		`0/admin,`:                         {Type: packet.Connect, Namespace: "/admin"},
		`0/admin`:                          {Type: packet.Connect, Namespace: "/admin"},
		`1/admin,`:                         {Type: packet.Disconnect, Namespace: "/admin"},
		`4{"message":"Not authorized"}`:    {Type: packet.ConnectError, Namespace: "/", Data: []byte(`{"message":"Not authorized"}`)},
		`2["foo"]`:                         {Type: packet.Event, Namespace: "/", Data: []byte(`["foo"]`)},
		`2/admin,["bar"]`:                  {Type: packet.Event, Namespace: "/admin", Data: []byte(`["bar"]`)},
		`212["foo"]`:                       {Type: packet.Event, Namespace: "/", HasID: true, ID: 12, Data: []byte(`["foo"]`)},
		`20["foo"]`:                        {Type: packet.Event, Namespace: "/", HasID: true, Data: []byte(`["foo"]`)},
		`3/admin,13["bar"]`:                {Type: packet.Ack, Namespace: "/admin", HasID: true, ID: 13, Data: []byte(`["bar"]`)},
		`51-["baz",{"_placeholder":true}]`: {Type: packet.BinaryEvent, Namespace: "/", Attachments: 1, Data: []byte(`["baz",{"_placeholder":true}]`)},
		`52-/admin,7["baz",{},{}]`:         {Type: packet.BinaryEvent, Namespace: "/admin", Attachments: 2, HasID: true, ID: 7, Data: []byte(`["baz",{},{}]`)},
		`61-/admin,15["bar"]`:              {Type: packet.BinaryAck, Namespace: "/admin", Attachments: 1, HasID: true, ID: 15, Data: []byte(`["bar"]`)},
		`2/a?b=c,["foo"]`:                  {Type: packet.Event, Namespace: "/a?b=c", Data: []byte(`["foo"]`)},
		`29007199254740991["foo"]`:         {Type: packet.Event, Namespace: "/", HasID: true, ID: 1<<53 - 1, Data: []byte(`["foo"]`)},
	} {
		got, err := packet.Decode([]byte(text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

func TestMalformed(t *testing.T) {
	for text, want := range map[string]error{
		``:                             packet.ErrType,
		`abc`:                          packet.ErrType,
		`7["foo"]`:                     packet.ErrType,
		`2`:                            packet.ErrData,
		`2{}`:                          packet.ErrData,
		`2[]`:                          packet.ErrData,
		`2[{}]`:                        packet.ErrData,
		`2[null]`:                      packet.ErrData,
		`2["foo"`:                      packet.ErrData,
		`2["foo"]]`:                    packet.ErrData,
		`2["disconnect"]`:              packet.ErrData,
		`2["connect_error",{}]`:        packet.ErrData,
		`21x["foo"]`:                   packet.ErrData,
		`299999999999999999999["foo"]`: packet.ErrID,
		`29007199254740992["foo"]`:     packet.ErrID,
		`200000000000000007["foo"]`:    packet.ErrID,
		`0[]`:                          packet.ErrData,
		`0"x"`:                         packet.ErrData,
		`1{}`:                          packet.ErrData,
		`31{}`:                         packet.ErrData,
		`4[]`:                          packet.ErrData,
		`5["baz"]`:                     packet.ErrAttachments,
		`5-["baz"]`:                    packet.ErrAttachments,
		`5x-["baz"]`:                   packet.ErrAttachments,
		`51234567890-["baz"]`:          packet.ErrAttachments,
		`6["baz"]`:                     packet.ErrAttachments,
		`2/admin`:                      packet.ErrData,
		`2["` + "\x01" + `"]`:          packet.ErrData,
	} {
		if p, err := packet.Decode([]byte(text)); !errors.Is(err, want) {
			t.Errorf("%s: %+v, %v, want %v", text, p, err, want)
		}
	}
}

func TestEvent(t *testing.T) {
	for text, want := range map[string][2]string{
		`2["products"]`:                          {"products"},
		`2["products",null]`:                     {"products", "null"},
		`2["products",{"page":2}]`:               {"products", `{"page":2}`},
		`2["products" , {"page":2} , "ignored"]`: {"products", `{"page":2}`},
		`2["a\"b"]`:                              {`a"b`},
		`2[7,{}]`:                                {"7", "{}"},
	} {
		p, err := packet.Decode([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		name, arg, err := p.Event()
		if err != nil || name != want[0] || string(arg) != want[1] {
			t.Errorf("%s: %q %s %v", text, name, arg, err)
		}
	}
}

func TestCheckNamespace(t *testing.T) {
	for name, good := range map[string]bool{"/": true, "/shop": true, "/shop/é": true, "": false, "shop": false, "/a,b": false, "/a b": false, "/a?b": false, "/a\"b": false, "/\xff": false} {
		if err := packet.CheckNamespace(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestPacketsReadBack: any packet is read as what was written.
func TestPacketsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := packet.Packet{Namespace: "/", Type: packet.Type(rapid.ByteRange('0', '6').Draw(t, "type"))}
		if rapid.Bool().Draw(t, "elsewhere") {
			p.Namespace = "/" + rapid.StringMatching(`[a-z0-9/é-]*`).Draw(t, "namespace")
		}
		if p.Type != packet.Disconnect && rapid.Bool().Draw(t, "id") {
			p.HasID, p.ID = true, rapid.Uint64Range(0, 1<<53-1).Draw(t, "number")
		}
		switch p.Type {
		case packet.Connect, packet.ConnectError:
			p.Data = []byte(`{"message":"x"}`)
		case packet.Disconnect:
		default:
			p.Data = []byte(`["products",{"page":2}]`)
		}
		if p.Type == packet.BinaryEvent || p.Type == packet.BinaryAck {
			p.Attachments = rapid.IntRange(0, 999_999_999).Draw(t, "attachments")
		}
		got, err := packet.Decode(p.Append(nil))
		if err != nil || !reflect.DeepEqual(got, p) {
			t.Fatalf("%s: %+v, %v", p.Append(nil), got, err)
		}
	})
}

// FuzzDecode: what can be read is written as what reads the same, and an event
// has a name that may be answered to.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`0{"token":"123"}`, `2/admin,12["foo",{}]`, `51-["baz",{"_placeholder":true,"num":0}]`, `0/a`, `1/b,`, `2["connect"]`, `3007[]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := packet.Decode(text)
		if err != nil {
			return
		}
		if !strings.HasPrefix(p.Namespace, "/") {
			t.Errorf("%q: namespace %q", text, p.Namespace)
		}
		back, err := packet.Decode(p.Append(nil))
		if err != nil || !reflect.DeepEqual(back, p) {
			t.Errorf("%q became %q: %+v, %v", text, p.Append(nil), back, err)
		}
		if p.Type == packet.Event {
			if name, _, err := p.Event(); err != nil || packet.Reserved(name) {
				t.Errorf("%q: event %q, %v", text, name, err)
			}
		}
	})
}
