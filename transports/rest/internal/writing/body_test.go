package writing

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/rest/internal/access"
	"github.com/binderyhq/bindery/transports/rest/internal/exchange"
)

func TestReadBody(t *testing.T) {
	w := &Writer{Opener: &access.Opener{Registry: core.NewRegistry()}, MaxBody: 8, SlowBodies: &atomic.Uint64{}}
	for _, c := range []struct {
		kind, coding, body string
		status             int // 0 if it is read
	}{
		{"application/json", "", `{"a":1}`, 0},
		{"application/json; charset=UTF-8", "", ``, 0},
		{"application/json; charset=latin1", "", `{}`, 415},
		{"text/plain", "", `{}`, 415},
		{"", "", `{}`, 415},
		{"application/json", "", `{"a":12}x`, 413},
		{"application/json", "", "\"\xff\"", 400},
		{"application/json", "gzip", "\x1f\x8b", 415},
		{"application/json", "identity", `{}`, 0},
	} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(c.body))
		r.Header = http.Header{"Content-Type": {c.kind}}
		if c.coding != "" {
			r.Header.Set("Content-Encoding", c.coding)
		}
		x := &exchange.Exchange{W: httptest.NewRecorder(), R: r}
		body, p := w.readBody(x, []string{TypeJSON})
		status := 0
		if p != nil {
			status = p.Status
		}
		if status != c.status || p == nil && (string(body) != c.body || body == nil) {
			t.Errorf("%s %q: %q, %v", c.kind, c.body, body, p)
		}
		// What the client could send instead.
		if got := x.W.Header().Get("Accept-Post"); (c.kind != "application/json" && c.status == 415) != (got != "") {
			t.Errorf("%s: Accept-Post %q", c.kind, got)
		}
	}
}

// TestBodiesTakeMemory: what clients send counts to the budget while the request lasts,
// and a body that finds no room is refused.
func TestBodiesTakeMemory(t *testing.T) {
	const budget = 6 * sentStep
	reg := core.Config{MemoryBudget: budget}.NewRegistry()
	w := &Writer{Opener: &access.Opener{Registry: reg}, MaxBody: 1 << 20, SlowBodies: &atomic.Uint64{}}
	clients := func() int64 { return reg.Status().Memory.Bytes[live.Clients.String()] }
	var open []*exchange.Exchange
	send := func(size int) *problem.Problem {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat(" ", size)))
		r.Header.Set("Content-Type", "application/json")
		x := &exchange.Exchange{W: httptest.NewRecorder(), R: r}
		open = append(open, x)
		_, p := w.readBody(x, []string{TypeJSON})
		return p
	}
	if p := send(2*sentStep - 1); p != nil || clients() != 2*sentStep {
		t.Fatalf("%v, %d bytes are counted", p, clients())
	}
	if p := send(10 * sentStep); p == nil || p.Status != http.StatusServiceUnavailable || p.Type != problem.TypeOverBudget || p.RetryAfter == 0 {
		t.Errorf("more than there is room for: %+v", p)
	}
	if n := clients(); n > budget {
		t.Errorf("%d bytes are counted", n)
	}
	for _, x := range open {
		x.Sent.Close()
	}
	if clients() != 0 {
		t.Errorf("%d bytes are left", clients())
	}
	if p := send(sentStep - 1); p != nil {
		t.Errorf("once there is room: %+v", p)
	}
}
