package socketio_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/socketio"
)

// After the upgrade the session is on WebSocket alone.
func TestUpgrade(t *testing.T) {
	s := serve(t, socketio.Config{}, "things")
	u := s.dial(upgraded)
	defer u.vanish()
	if got := s.sio.Status(); got.Open != 1 || got.Polling != 0 {
		t.Errorf("%+v", got)
	}
	again := &user{t, &client{url: u.url, http: u.http, sid: u.sid}}
	if got := again.ends(); got != http.StatusBadRequest {
		t.Errorf("a poll was answered %d", got)
	}
	if err, ok := again.send(u.ctx(), `42["things"]`).(*statusError); !ok || err.status != http.StatusBadRequest {
		t.Errorf("a POST was answered %v", err)
	}
	if err, ok := again.open(u.ctx()).(*statusError); !ok || err.status != http.StatusBadRequest {
		t.Errorf("another upgrade was answered %v", err)
	}
	u.emits("things", "")
	if m := u.says(); m.Action != "sync" {
		t.Errorf("%+v", m)
	}
	u.vanish()
	wiretest.Eventually(t, "the session has ended", func() bool { return s.sio.Status().Open == 0 })
}

// A WebSocket that does not become the session's leaves the session alone.
func TestFailedUpgrades(t *testing.T) {
	s := serve(t, socketio.Config{HandshakeTimeout: 300 * time.Millisecond}, "things")
	u := s.dial(polling)
	u.emits("things", "")
	u.says()
	for name, packets := range map[string][]string{
		"no probe":         {"5"},
		"another packet":   {`42["things"]`},
		"another probe":    {"2other"},
		"two probes":       {"2probe", "2probe"},
		"a message, later": {"2probe", `42["things"]`},
		"nothing":          nil,
		"nothing more":     {"2probe"},
		"no packet":        {"x"},
	} {
		probe := &user{t, &client{url: u.url, http: u.http, sid: u.sid}}
		// The one before may not have been missed yet.
		wiretest.Eventually(t, "there may be another probe", func() bool { return probe.open(u.ctx()) == nil })
		probe.sends(packets...)
		if got := probe.ends(); got != gorilla.CloseProtocolError && got != gorilla.ClosePolicyViolation {
			t.Errorf("%s: ended with %d", name, got)
		}
		probe.vanish()
		s.Put("things", items(1, 1, name)...)
		for {
			p := u.packet()
			if p == "6" {
				continue
			}
			if m, err := decodeEvent(p, "42"); err != nil || m.Action != "create" && m.Action != "update" {
				t.Errorf("%s: %+v, %v", name, m, err)
			}
			break
		}
	}
}

// follower is a client that has joined one binding, as [wiretest.Journey] sees it.
// It changes to WebSocket at some time.
type follower struct {
	*user
	after int // messages
}

func (f *follower) Next() wiretest.Message {
	if f.after--; f.after == 0 && f.ws == nil {
		if err := f.upgrade(f.ctx()); err != nil {
			f.t.Fatalf("upgrading: %v", err)
		}
	}
	return f.says()
}

func (f *follower) Drop() { f.vanish() }

// Whatever is written, wherever the connection drops and whenever it changes to
// WebSocket, a client that resumes holds at each version what the binding held.
func TestClientsNeverLoseTheirPlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newServer(t, socketio.Config{PageRows: rapid.IntRange(1, 8).Draw(t, "page"), MessageBytes: 1 << 10}, "things")
		s.start()
		defer s.stop()
		pick := func(what string, n int) int { return rapid.IntRange(0, n-1).Draw(t, what) }
		wiretest.Journey(s.Rig, "things", rapid.IntRange(1, 12).Draw(t, "steps"), pick, func(version string) wiretest.Stream {
			u := s.dial([]string{polling, websocket}[pick("way", 2)])
			u.emits("things", fmt.Sprintf(`{"version":%q}`, version))
			return &follower{u, pick("upgrade", 6)}
		})
	})
}
