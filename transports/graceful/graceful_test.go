package graceful_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/transports/graceful"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The server itself knows nothing of these connections, so who closes them is
// CloseUnused.
func TestUnusedConnectionsAreClosed(t *testing.T) {
	var seen []http.ConnState
	srv := &http.Server{ConnState: func(_ net.Conn, s http.ConnState) { seen = append(seen, s) }}
	graceful.CloseUnused(srv)
	pipe := func() (server, client net.Conn) {
		server, client = net.Pipe()
		t.Cleanup(func() { _, _ = server.Close(), client.Close() })
		return server, client
	}
	unused, unusedPeer := pipe()
	srv.ConnState(unused, http.StateNew)
	used, usedPeer := pipe()
	srv.ConnState(used, http.StateNew)
	srv.ConnState(used, http.StateActive)
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := unusedPeer.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("an unused connection: %v", err)
	}
	_ = usedPeer.SetReadDeadline(time.Now())
	if _, err := usedPeer.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection in use: %v", err)
	}
	late, latePeer := pipe()
	srv.ConnState(late, http.StateNew)
	if _, err := latePeer.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a connection that came late: %v", err)
	}
	if len(seen) != 4 {
		t.Errorf("the server's own function saw %v", seen)
	}
}

// A request under way when the shutdown begins is answered.
func TestRequestsAreFinished(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(began)
		<-finish
		_, _ = io.WriteString(w, "done")
	}))
	graceful.CloseUnused(server.Config)
	ending := make(chan struct{})
	server.Config.RegisterOnShutdown(func() { close(ending) })
	server.Start()
	defer server.Close()
	unused, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unused.Close() }()
	body := make(chan string, 1)
	go func() {
		defer close(body)
		resp, err := server.Client().Get(server.URL)
		if err != nil {
			return
		}
		defer func() { _ = resp.Body.Close() }()
		b, _ := io.ReadAll(resp.Body)
		body <- string(b)
	}()
	<-began
	down := make(chan error, 1)
	go func() { down <- server.Config.Shutdown(t.Context()) }()
	<-ending
	close(finish)
	if err := <-down; err != nil {
		t.Error(err)
	}
	if got := <-body; got != "done" {
		t.Errorf("answered %q", got)
	}
}
