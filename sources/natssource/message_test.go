package natssource

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/driver"
)

// TestMessageRoundTrip: whatever is published is what arrives.
func TestMessageRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 12, 40)
		var sent []driver.Change
		m := message{Version: protocol, Kind: kindReport, Node: "a", Seq: rapid.Uint64Min(1).Draw(t, "seq")}
		for range rapid.IntRange(0, 4).Draw(t, "changes") {
			c := driver.Change{Table: driver.Table{Database: text.Draw(t, "db"), Schema: text.Draw(t, "schema"), Name: text.Draw(t, "table")}}
			if rapid.Bool().Draw(t, "keyed") {
				c.Keys = []driver.Key{}
				for range rapid.IntRange(0, 5).Draw(t, "keys") {
					c.Keys = append(c.Keys, driver.KeyOf(rapid.Int64().Draw(t, "a"), text.Draw(t, "b")))
				}
			}
			sent = append(sent, c)
			m.Changes = append(m.Changes, changeOf(c))
		}
		data, err := m.encoded()
		if err != nil {
			t.Fatal(err)
		}
		got, changes, err := decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if got.Node != m.Node || got.Seq != m.Seq || len(changes) != len(sent) {
			t.Fatalf("got %+v with %d changes, want %+v with %d", got, len(changes), m, len(sent))
		}
		for i, c := range sent {
			if c.Table != changes[i].Table || (c.Keys == nil) != (changes[i].Keys == nil) || len(c.Keys) != len(changes[i].Keys) {
				t.Fatalf("change %d: got %+v, want %+v", i, changes[i], c)
			}
			for j, k := range c.Keys {
				if changes[i].Keys[j] != k {
					t.Fatalf("change %d, key %d: got %q, want %q", i, j, changes[i].Keys[j], k)
				}
			}
		}
	})
}

func TestDecodeNamesTheCulprit(t *testing.T) {
	for name, c := range map[string]struct{ data, want string }{
		"no JSON":         {`{`, "unexpected end"},
		"no node":         {`{"v":1,"kind":"beat"}`, "node's name"},
		"long node":       {`{"v":1,"kind":"beat","node":"` + strings.Repeat("x", 65) + `"}`, "node's name"},
		"another version": {`{"v":2,"kind":"beat","node":"n"}`, "version 2"},
		"another kind":    {`{"v":1,"kind":"shout","node":"n"}`, `"shout"`},
		"no number":       {`{"v":1,"kind":"report","node":"n"}`, "no number"},
		"no base64":       {`{"v":1,"kind":"report","node":"n","seq":3,"changes":[{"table":"t","keys":["%"]}]}`, `report 3 of node "n": key 0 of table "t"`},
		"no key":          {`{"v":1,"kind":"report","node":"n","seq":3,"changes":[{"table":"t","keys":["_w"]}]}`, `key 0 of table "t"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := decode([]byte(c.data))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
		})
	}
}

// FuzzDecode: no message makes a node panic, and what is read can be sent again.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"v":1,"kind":"report","node":"n","seq":3,"changes":[{"table":"t","keys":["AA"]},{}]}`))
	f.Add([]byte(`{"v":1,"kind":"bye","node":"n","seq":18446744073709551615}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, changes, err := decode(data)
		if err != nil {
			return
		}
		again := message{Version: m.Version, Kind: m.Kind, Node: m.Node, Seq: m.Seq}
		for _, c := range changes {
			again.Changes = append(again.Changes, changeOf(c))
		}
		encoded, err := json.Marshal(again)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := decode(encoded); err != nil && m.Kind == kindReport {
			t.Fatalf("%s is read, and %s is not: %v", data, encoded, err)
		}
	})
}
