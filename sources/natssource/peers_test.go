package natssource

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestNothingLostUnnoticed sends numbered messages through a link that drops,
// repeats and reorders them, with beats in between, and compares with the plain
// rule: once a number has gone missing, the receiver is told before it takes any
// later number as seen.
func TestNothingLostUnnoticed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPeers(Config{}.WithDefaults())
		now := time.Unix(0, 0)
		handed := map[uint64]bool{} // reported, or covered by a reading of everything
		var sent uint64
		var held []uint64
		deliver := func(seq uint64, report bool) {
			v, _ := p.heard("n", seq, report, now)
			switch v {
			case expected:
				if report {
					handed[seq] = true
				}
			case missing, unknown:
				for i := uint64(1); i <= sent; i++ {
					handed[i] = true
				}
			}
			p.reported("n", seq)
		}
		t.Repeat(map[string]func(*rapid.T){
			"deliver": func(*rapid.T) { sent++; deliver(sent, true) },
			"drop":    func(*rapid.T) { sent++ },
			"delay":   func(*rapid.T) { sent++; held = append(held, sent) },
			"late": func(t *rapid.T) {
				if len(held) == 0 {
					t.Skip("nothing is late")
				}
				i := rapid.IntRange(0, len(held)-1).Draw(t, "which")
				deliver(held[i], true)
				held = append(held[:i], held[i+1:]...)
			},
			"repeat": func(t *rapid.T) {
				if sent == 0 {
					t.Skip("nothing was sent")
				}
				deliver(rapid.Uint64Range(1, sent).Draw(t, "which"), true)
			},
			"beat": func(*rapid.T) { deliver(sent, false) },
			"": func(t *rapid.T) {
				known := p.numbers().known
				for i := uint64(1); i <= known[hashOf("n")]; i++ {
					if !handed[i] {
						t.Fatalf("number %d counts as seen and was never handed on", i)
					}
				}
			},
		})
		deliver(sent, false)
		for i := uint64(1); i <= sent; i++ {
			if !handed[i] {
				t.Fatalf("after a beat number %d is still unnoticed", i)
			}
		}
	})
}

func TestSilence(t *testing.T) {
	cfg := Config{Heartbeat: time.Second, Forget: 20 * time.Second}.WithDefaults()
	p := newPeers(cfg)
	start := time.Unix(0, 0)
	p.heard("a", 1, true, start)
	p.reported("a", 1)
	if missed, dead := p.check(start.Add(5 * time.Second)); missed != "" || dead != nil {
		t.Errorf("after five beats: missed %q, dead %q", missed, dead)
	}
	if missed, dead := p.check(start.Add(6 * time.Second)); missed != "a" || dead != nil {
		t.Errorf("after six beats: missed %q, dead %q", missed, dead)
	}
	if missed, dead := p.check(start.Add(21 * time.Second)); missed != "" || len(dead) != 1 {
		t.Errorf("after Forget: missed %q, dead %q", missed, dead)
	}
	// It was not dead after all: what it said meanwhile is missing.
	if v, _ := p.heard("a", 3, false, start.Add(30*time.Second)); v != missing {
		t.Errorf("one that comes back with more: %v", v)
	}
}

func TestPeersAreBounded(t *testing.T) {
	p := newPeers(Config{MaxPeers: 2}.WithDefaults())
	now := time.Unix(0, 0)
	for i := range 5 {
		v, _ := p.heard(fmt.Sprint(i), 1, true, now)
		if want := map[bool]verdict{true: expected, false: unknown}[i < 2]; v != want {
			t.Errorf("peer %d: %v, want %v", i, v, want)
		}
	}
	for i := range 3 * maxDeparted {
		p.left("0")
		p.left(fmt.Sprint(i))
		p.heard(fmt.Sprint(i+1), 1, true, now)
	}
	if n := p.numbers(); len(n.known) > 2 || len(n.gone) > maxDeparted {
		t.Errorf("%d known and %d gone", len(n.known), len(n.gone))
	}
}
