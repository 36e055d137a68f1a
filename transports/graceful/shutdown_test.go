package graceful_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/graceful"
)

// serve serves the handler in a bubble, and returns the server and what connects to it.
func serve(t *testing.T, h http.HandlerFunc) (*http.Server, func() net.Conn) {
	network, served := wiretest.ListenPipes(), make(chan error, 1)
	srv := &http.Server{Handler: h}
	go func() { served <- srv.Serve(network) }()
	t.Cleanup(func() {
		_ = srv.Close()
		<-served
	})
	return srv, func() net.Conn {
		c, err := network.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
}

// A client that stops halfway through a body is cut off, and that is no error;
// the other server's request is answered.
func TestShutdownCutsWhoIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late, dial := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusMethodNotAllowed) })
		half := dial()
		cut := make(chan time.Time, 1)
		go func() {
			_, _ = io.ReadAll(half)
			cut <- time.Now()
		}()
		if _, err := io.WriteString(half, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf"); err != nil {
			t.Fatal(err)
		}
		orderly, dial := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Second)
			_, _ = io.WriteString(w, "answered")
		})
		whole := dial()
		answer := make(chan string, 1)
		go func() {
			b, err := io.ReadAll(whole)
			if err != nil {
				b = []byte(err.Error())
			}
			answer <- string(b)
		}()
		if _, err := io.WriteString(whole, "GET / HTTP/1.0\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		if err := graceful.Shutdown(ctx, late, orderly); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took != 6*time.Second {
			t.Errorf("the shutdown took %v of its 8s", took)
		}
		if got := <-answer; !strings.HasSuffix(got, "answered") {
			t.Errorf("the other request: %s", got)
		}
		if took := (<-cut).Sub(begun); took != 6*time.Second {
			t.Errorf("the late client was cut off after %v", took)
		}
	})
}
