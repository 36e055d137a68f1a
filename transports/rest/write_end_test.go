package rest

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
)

// heldWrite makes a write stop inside its transaction. It returns where its answer
// will be, and what lets it go on.
func (s *shop) heldWrite(ctx context.Context) (answer <-chan *http.Response, release func()) {
	s.T.Helper()
	release = s.Table.Hold()
	s.T.Cleanup(release)
	before, _ := s.Table.Reads()
	answers := make(chan *http.Response, 1)
	go func() { answers <- s.sendIn(ctx, "PATCH", "/api/stock/1", `{"name":"held"}`) }()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(time.Millisecond) {
		if now, _ := s.Table.Reads(); now > before {
			return answers, release
		}
		if time.Now().After(deadline) {
			s.T.Fatal("the write has not begun")
		}
	}
}

// A database that does not answer is given up, and nothing is written.
func TestWriteTimeout(t *testing.T) {
	s := newStock(t, 1, Config{WriteTimeout: 20 * time.Millisecond})
	release := s.Table.Hold() // of the write, however far it comes before its time is over
	defer release()
	res := s.send("PATCH", "/api/stock/1", `{"name":"held"}`)
	want(t, res, 503)
	if res.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	release()
	if got := body(t, s.Do("GET", "/api/stock/1")); !strings.Contains(got, "product 1") {
		t.Errorf("the row is %s", got)
	}
}

// A client that goes away takes its write along. If it reads on, having closed its
// own half of the connection, it is told so.
func TestWriterGone(t *testing.T) {
	s := newStock(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	answer, _ := s.heldWrite(ctx)
	cancel()
	res := <-answer
	want(t, res, 503)
	if got := body(t, res); !strings.Contains(got, "before the write was carried out") {
		t.Errorf("answer %q", got)
	}
	for _, row := range s.Table.Rows() {
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
		s.Shutdown()
	}()
	<-s.rest.stopping.Done()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(time.Millisecond) {
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

// Shutdown gives up a write that does not end, in time for its client to be told and
// for the rest of the program to end in order.
func TestShutdownCutsWrites(t *testing.T) {
	s := newStock(t, 1)
	answer, release := s.heldWrite(t.Context())
	defer release()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := s.rest.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	res := <-answer
	want(t, res, 503)
	if got := body(t, res); !strings.Contains(got, "shutting-down") {
		t.Error(got)
	}
	for _, row := range s.Table.Rows() {
		if row.Name != "product 1" {
			t.Errorf("the row is %v", row)
		}
	}
	release()
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
	want(t, s.Do("GET", "/api/stock/1", "Accept-Encoding", "gzip", "If-None-Match", tag), 304)
	want(t, s.send("PATCH", "/api/stock/1", `{"name":"short"}`, "If-Match", tag), 200)
}

// refusing is a table whose database lets nothing be written.
type refusing struct{ *coretest.Table[product] }

func (refusing) Insert(context.Context, *product, []string) (driver.Key, error) {
	return "", fmt.Errorf("of %w: SQLSTATE 42501", driver.ErrRefused)
}

func (refusing) Update(context.Context, driver.Key, *product, []string, []string) error {
	return driver.ErrRefused
}
func (refusing) Delete(context.Context, driver.Key) error { return driver.ErrRefused }

func TestWhatTheDatabaseRefusesForGoodIsForbidden(t *testing.T) {
	s := newShop(t, 3)
	b := core.Bind("locked", &refusing{s.Table}, core.Writable())
	if err := s.Reg.Add(b); err != nil {
		t.Fatal(err)
	}
	<-b.Loaded()
	for _, res := range []*http.Response{
		s.send(http.MethodPost, "/api/locked", `{"id":9,"name":"x"}`), s.send(http.MethodPut, "/api/locked/1", `{"name":"x"}`),
		s.send(http.MethodPatch, "/api/locked/1", `{"name":"x"}`), s.send(http.MethodDelete, "/api/locked/1", ""),
	} {
		want(t, res, http.StatusForbidden)
		if text := body(t, res); strings.Contains(text, "SQLSTATE") {
			t.Errorf("the driver's words: %s", text)
		}
	}
	want(t, s.send(http.MethodDelete, "/api/locked/4", ""), http.StatusNotFound)
}
