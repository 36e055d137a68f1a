package pgsource

import (
	"encoding/binary"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/binderyhq/bindery/core/driver"
	"pgregory.net/rapid"
)

// The messages as pgoutput writes them, for tests that take them apart again.

func beginBytes(xid uint32) []byte {
	b := append([]byte{'B'}, make([]byte, 16)...)
	return binary.BigEndian.AppendUint32(b, xid)
}

func commitBytes(end uint64) []byte {
	b := append([]byte{'C'}, make([]byte, 9)...)
	b = binary.BigEndian.AppendUint64(b, end)
	return append(b, make([]byte, 8)...)
}

func relationBytes(id uint32, columns ...string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{'R'}, id)
	b = append(b, "public\x00t\x00d"...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(columns)))
	for _, c := range columns {
		b = append(append(append(b, 1), c...), 0)
		b = append(b, make([]byte, 8)...)
	}
	return b
}

func tupleBytes(b []byte, kind byte, fields []field) []byte {
	b = binary.BigEndian.AppendUint16(append(b, kind), uint16(len(fields)))
	for _, f := range fields {
		if b = append(b, f.kind); f.kind == fieldText {
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(f.text))), f.text...)
		}
	}
	return b
}

func rowBytes(kind byte, id uint32, old, new []field) []byte {
	b := binary.BigEndian.AppendUint32([]byte{kind}, id)
	if old != nil {
		b = tupleBytes(b, 'K', old)
	}
	if new != nil {
		b = tupleBytes(b, 'N', new)
	}
	return b
}

func newGatherer(maxKeys int) *gatherer {
	var r atomic.Pointer[routes]
	r.Store(newRoutes([]*bound{{
		table: driver.Table{Name: "t"}, key: []string{"b", "a"}, relations: []relation{{OID: "7", Kind: "r"}},
	}}, 0))
	return &gatherer{routes: &r, maxKeys: maxKeys, ask: func() uint64 { return 0 }}
}

// TestGathering takes random transactions apart and wants exactly their keys.
func TestGathering(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := newGatherer(rapid.IntRange(1, 20).Draw(t, "maxKeys"))
		take := func(data []byte) (*commit, uint64) {
			c, end, err := g.take(data)
			if err != nil {
				t.Fatal(err)
			}
			clear(data) // the next message overwrites it
			return c, end
		}
		text := rapid.SampledFrom([]string{"", "x", "1", "\x01x", "\x00", strings.Repeat("y", 200)})
		fields := func(label string) []field {
			return []field{{fieldText, []byte(text.Draw(t, label+"a"))}, {kind: fieldNull}, {fieldText, []byte(text.Draw(t, label+"b"))}}
		}
		want := make(map[string]bool)
		note := func(f []field) { want[string(f[2].text)+"|"+string(f[0].text)] = true }
		whole := false
		take(beginBytes(3))
		take(relationBytes(7, "a", "v", "b"))
		for range rapid.IntRange(1, 30).Draw(t, "rows") {
			old, new := fields("old"), fields("new")
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0:
				note(new)
				take(rowBytes('I', 7, nil, new))
			case 1:
				note(new)
				take(rowBytes('U', 7, nil, new))
			case 2:
				note(old)
				note(new)
				take(rowBytes('U', 7, old, new))
			case 3:
				note(old)
				take(rowBytes('D', 7, old, nil))
			case 4: // the key is out of line, and in the old row only
				note(old)
				new[0], new[2] = field{kind: fieldUnchanged}, field{kind: fieldUnchanged}
				take(rowBytes('U', 7, old, new))
			case 5:
				if rapid.IntRange(0, 5).Draw(t, "odd") == 0 { // and nowhere
					new[2] = field{kind: fieldUnchanged}
					whole = true
					take(rowBytes('U', 7, nil, new))
				}
			}
		}
		if c, _ := take([]byte("Oorigin")); c != nil {
			t.Fatal("a commit that was none")
		}
		c, end := take(commitBytes(99))
		if c == nil || end != 99 || c.xid != 3 {
			t.Fatalf("commit %+v at %d", c, end)
		}
		set := c.changes[driver.Table{Name: "t"}]
		switch {
		case set == nil:
			if len(want) > 0 || whole {
				t.Fatal("nothing was gathered")
			}
		case set.Whole() != (whole || len(want) > g.maxKeys):
			t.Fatalf("whole table: %v, of %d keys and a bound of %d", set.Whole(), len(want), g.maxKeys)
		case !set.Whole():
			for _, k := range set.Keys() {
				if parts := strings.Join(k, "|"); !want[parts] {
					t.Fatalf("gathered %q", parts)
				}
			}
			if n := len(set.Keys()); n != len(want) {
				t.Fatalf("gathered %d keys of %d", n, len(want))
			}
		}
	})
}

// FuzzGatherer feeds it what no server sends: it must neither panic nor take
// more memory than the message is worth.
func FuzzGatherer(f *testing.F) {
	row := []field{{fieldText, []byte("1")}, {kind: fieldUnchanged}, {kind: fieldNull}}
	for _, seed := range [][]byte{
		beginBytes(1), commitBytes(2), relationBytes(7, "a", "b"), rowBytes('I', 7, nil, row), rowBytes('U', 7, row, row), rowBytes('D', 7, row, nil),
		{'T', 0, 0, 0, 1, 0, 0, 0, 0, 7},
		{'T', 255, 255, 255, 255, 0},
		{'I', 0, 0, 0, 7, 'N', 255, 255, 't', 255, 255, 255, 255},
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		g := newGatherer(4)
		for _, msg := range [][]byte{beginBytes(1), relationBytes(7, "a", "b", "c"), data, rowBytes('I', 7, nil, row), commitBytes(5)} {
			if c, _, err := g.take(msg); err == nil && c != nil {
				for _, set := range c.changes {
					set.Keys()
				}
			}
		}
	})
}

// TestSnapshots compares with a plain model, also where ids of 32 bits begin
// anew.
func TestSnapshots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		xmax := rapid.SampledFrom([]uint64{10, 1 << 31, 1<<32 - 5, 1 << 32, 1<<32 + 6, 5<<32 + 1<<31, 7<<32 - 1}).Draw(t, "xmax")
		s := snapshot{xmin: xmax - 6, xmax: xmax}
		for x := s.xmin; x < xmax; x++ {
			if rapid.Bool().Draw(t, "running") {
				s.running = append(s.running, x)
			}
		}
		for x := xmax - 8; x < xmax+8; x++ {
			want := x < s.xmin || x < xmax && !slices.Contains(s.running, x)
			if got := s.ended(uint32(x)); got != want {
				t.Fatalf("transaction %d of %+v: ended %v, want %v", x, s, got, want)
			}
		}
	})
	for _, text := range []string{"", "1:2", "1:2:3:4", "x:2:", "1:x:", "3:2:", "1:2:x", "1:9:2,,3"} {
		if s, err := parseSnapshot(text); err == nil {
			t.Errorf("%q was read as %+v", text, s)
		}
	}
	if s, err := parseSnapshot("5:9:8,5"); err != nil || s.xmin != 5 || s.xmax != 9 || !slices.Equal(s.running, []uint64{5, 8}) {
		t.Errorf("%+v, %v", s, err)
	}
}
