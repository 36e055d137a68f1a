package writing

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/binderyhq/bindery/transports/rest/internal/exchange"
)

func TestReadBody(t *testing.T) {
	w := &Writer{MaxBody: 8, SlowBodies: &atomic.Uint64{}}
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
