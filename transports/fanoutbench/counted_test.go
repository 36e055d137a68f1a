package fanoutbench

import (
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestConnectionsAreCounted: what connections take counts to the registry's memory while
// they are open, over each transport.
func TestConnectionsAreCounted(t *testing.T) {
	const n = 20
	for _, subject := range subjects {
		t.Run(subject.name, func(t *testing.T) {
			s := subject.make(t)
			defer s.end()
			if s.counted == nil {
				return // plain melody and the bare hub count nothing
			}
			server := httptest.NewServer(s.handler)
			defer server.Close()
			conns := make([]net.Conn, n)
			for i := range conns {
				c, err := open(s.protocol, strings.TrimPrefix(server.URL, "http://"), s.path)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				conns[i] = c
			}
			await := func(what string, done func() bool) {
				t.Helper()
				for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatalf("%s: %d bytes are counted", what, s.counted())
					}
				}
			}
			await("open", func() bool { return s.ready(n) })
			if got := s.counted(); got == 0 || got%n != 0 {
				t.Errorf("%d bytes are counted for %d connections", got, n)
			}
			for _, c := range conns {
				_ = c.Close()
			}
			await("closed", func() bool { return s.counted() == 0 })
		})
	}
}
