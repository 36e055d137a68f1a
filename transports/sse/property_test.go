package sse_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/sse"
)

// follower is a stream of one binding as [wiretest.Journey] sees it.
type follower struct{ *reader }

func (f *follower) Next() wiretest.Message {
	e := f.must()
	m := e.message(f.t)
	if e.hasID == m.More || e.hasID && e.id != m.Version {
		f.t.Fatalf("id %q on %+v", e.id, m)
	}
	return m
}

func (f *follower) Drop() { f.close() }

// Whatever is written, and wherever the connection drops, a client that resumes
// holds at each version what the binding held.
func TestClientsNeverLoseTheirPlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newServer(t, sse.Config{PageRows: rapid.IntRange(1, 8).Draw(t, "page"), MessageBytes: 1 << 10}, "things")
		s.start()
		defer s.stop()
		pick := func(what string, n int) int { return rapid.IntRange(0, n-1).Draw(t, what) }
		wiretest.Journey(s.Rig, "things", rapid.IntRange(1, 25).Draw(t, "steps"), pick, func(version string) wiretest.Stream {
			return &follower{reader: s.open("/events/things", version)}
		})
	})
}
