package rest

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// heldWrite makes a write stop inside its transaction. It returns where its answer
// will be, and what lets it go on.
func (s *shop) heldWrite(ctx context.Context) (answer <-chan *http.Response, release func()) {
	s.t.Helper()
	release = s.table.Hold()
	s.t.Cleanup(release)
	before, _ := s.table.Reads()
	answers := make(chan *http.Response, 1)
	go func() { answers <- s.sendIn(ctx, "PATCH", "/api/stock/1", `{"name":"held"}`) }()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if now, _ := s.table.Reads(); now > before {
			return answers, release
		}
		if time.Now().After(deadline) {
			s.t.Fatal("the write has not begun")
		}
	}
}

// A database that does not answer is given up, and nothing is written.
func TestWriteTimeout(t *testing.T) {
	s := newStock(t, 1, Config{WriteTimeout: 20 * time.Millisecond})
	answer, release := s.heldWrite(t.Context())
	res := <-answer
	want(t, res, 503)
	if res.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	release()
	if got := body(t, s.do("GET", "/api/stock/1")); !strings.Contains(got, "product 1") {
		t.Errorf("the row is %s", got)
	}
}

// A client that goes away takes its write along, and gets no answer.
func TestWriterGone(t *testing.T) {
	s := newStock(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	answer, _ := s.heldWrite(ctx)
	cancel()
	if got := body(t, <-answer); got != "" {
		t.Errorf("answer %q", got)
	}
	for _, row := range s.table.Rows() {
		if row.Name != "product 1" {
			t.Errorf("the row is %v", row)
		}
	}
}

// Shutdown lets a write under way come to its end, with its answer, and begins
// no other.
func TestShutdownFinishesWrites(t *testing.T) {
	s := newStock(t, 1)
	answer, release := s.heldWrite(t.Context())
	down := make(chan struct{})
	go func() {
		defer close(down)
		s.shutdown()
	}()
	<-s.rest.stopping.Done()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		// Refused, as soon as the transport is told to end.
		if res := s.send("PATCH", "/api/stock/9", `{}`); res.StatusCode == 503 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("writes begin during the shutdown")
		}
	}
	select {
	case <-down:
		t.Fatal("the shutdown did not wait for the write")
	default:
	}
	release()
	res := <-answer
	want(t, res, 200)
	<-down
}

// The answer to a write is the row as a GET has it, in the coding that the
// client prefers.
func TestWriteAnswerIsCompressed(t *testing.T) {
	s := newStock(t, 1)
	long := strings.Repeat("long ", 400)
	res := s.send("PATCH", "/api/stock/1", `{"name":"`+long+`"}`, "Accept-Encoding", "gzip")
	want(t, res, 200)
	tag := res.Header.Get("ETag")
	if res.Header.Get("Content-Encoding") != "gzip" || !strings.HasSuffix(tag, `-gzip"`) || res.Header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("headers %v", res.Header)
	}
	want(t, s.do("GET", "/api/stock/1", "Accept-Encoding", "gzip", "If-None-Match", tag), 304)
	want(t, s.send("PATCH", "/api/stock/1", `{"name":"short"}`, "If-Match", tag), 200)
}
