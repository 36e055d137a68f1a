package graceful_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/binderyhq/bindery/transports/graceful"
)

// A client that stops halfway through a body is cut off, and that is no error;
// the other server's request is answered.
func TestShutdownCutsWhoIsLate(t *testing.T) {
	late := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusMethodNotAllowed) }))
	defer late.Close()
	c, err := net.Dial("tcp", late.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf"); err != nil {
		t.Fatal(err)
	}
	began, finish := make(chan struct{}), make(chan struct{})
	orderly := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(began)
		<-finish
		_, _ = io.WriteString(w, "answered")
	}))
	defer orderly.Close()
	answer := make(chan string, 1)
	go func() {
		res, err := orderly.Client().Get(orderly.URL)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer func() { _ = res.Body.Close() }()
		b, _ := io.ReadAll(res.Body)
		answer <- string(b)
	}()
	<-began
	orderly.Config.RegisterOnShutdown(func() { close(finish) })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := graceful.Shutdown(ctx, late.Config, orderly.Config); err != nil {
		t.Error(err)
	}
	if got := <-answer; got != "answered" {
		t.Errorf("the other request: %s", got)
	}
	_ = c.SetReadDeadline(time.Now().Add(60 * time.Second))
	if _, err := io.ReadAll(c); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Errorf("the late client's connection is open: %v", err)
	}
}
