package sse_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/sse"
)

func TestShutdownEndsStreams(t *testing.T) {
	s := newServer(t, sse.Config{PageRows: 1}, "things")
	s.Tables["things"].Put(items(1, 50, "")...)
	s.start()
	c := &wiretest.Client{}
	idle, busy := s.open("/events/things", ""), s.open("/events/things", "")
	defer idle.close()
	defer busy.close()
	idle.follow(c, s.Token("things"))
	busy.must() // the first of fifty pages: the batch is completed
	s.Stop()
	idle.ended()
	busy.ended()
	r := s.open("/events/things", "")
	defer r.close()
	if r.resp.StatusCode != 503 {
		t.Errorf("%d after the shutdown", r.resp.StatusCode)
	}
	s.http.Close()
}

// The HTTP server's own shutdown, which waits for open requests, ends streams
// too.
func TestServersShutdownEndsItsStreams(t *testing.T) {
	s := serve(t, sse.Config{}, "things")
	r := s.open("/events/things", "")
	defer r.close()
	r.must()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := s.http.Config.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	r.ended()
}

func TestRemovedBindingEndsItsStream(t *testing.T) {
	s := serve(t, sse.Config{}, "a", "b")
	one, both := s.open("/events/a", ""), s.open("/events?event=a&event=b", "")
	defer one.close()
	defer both.close()
	one.must()
	both.must()
	both.must()
	if err := s.Reg.Remove(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*reader{one, both} {
		if m := r.must().message(t); m.Action != "error" || m.Event != "a" || m.Problem() != string(problem.TypeUnknownBinding) {
			t.Errorf("%+v", m)
		}
	}
	one.ended()
	s.Put("b", items(1, 1, "")...)
	if m := both.must().message(t); m.Event != "b" || m.Action != "create" {
		t.Errorf("%+v", m)
	}
}

// Shutdown does not wait for a client that never reads.
func TestShutdownCutsStuckClients(t *testing.T) {
	s := newServer(t, sse.Config{WriteTimeout: time.Hour, DrainTimeout: 10 * time.Millisecond}, "things")
	s.Tables["things"].Put(items(1, 2_000, strings.Repeat("x", 5000))...)
	s.start()
	conn := stall(t, s, "/events/things")
	defer func() { _ = conn.Close() }()
	wiretest.Eventually(t, "the stream is open", func() bool { return s.sse.Status().Open == 1 })
	s.stop()
}

func TestServersTimeoutsDoNotEndStreams(t *testing.T) {
	wiretest.Patiently(t, 50*time.Millisecond, func(t wiretest.TB, timeout time.Duration) {
		s := newServer(t, sse.Config{}, "things")
		s.http.Config.ReadTimeout = timeout // which bounds the arrival of the request too
		s.http.Config.WriteTimeout = timeout
		s.start()
		defer s.stop()
		r := s.open("/events/things", "")
		defer r.close()
		r.must()
		time.Sleep(3 * timeout) // the timeouts pass; on a slow machine the test proves less and does not fail
		s.Put("things", items(1, 1, "")...)
		if m := r.must().message(t); m.Action != "create" {
			t.Errorf("%+v", m)
		}
	})
}
