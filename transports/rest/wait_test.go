package rest

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/core/wire/wiretest"
)

// held starts a request that waits and returns where its answer will come, once
// the transport holds it.
func (s *shop) held(target string, headers ...string) <-chan *http.Response {
	s.T.Helper()
	before := s.waiting()
	answer := make(chan *http.Response, 1)
	r := httptest.NewRequest("GET", target, nil).WithContext(s.T.Context())
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	go func() {
		rec := httptest.NewRecorder()
		s.Echo.ServeHTTP(rec, r)
		answer <- rec.Result()
	}()
	s.Until("the request is held", func() bool { return s.waiting() > before })
	return answer
}

func (s *shop) waiting() int {
	return s.rest.held.Len()
}

func TestWaitForAChange(t *testing.T) {
	s := newShop(t, 20)
	list := s.held("/api/products", "If-None-Match", `"`+s.Version()+`"`, "Prefer", "wait=30")
	row := s.held("/api/products/2", "If-None-Match", s.Do("GET", "/api/products/2").Header.Get("ETag"), "Prefer", "respond-async, wait=30")
	page := s.held("/api/products?limit=2", "If-None-Match", s.Do("GET", "/api/products?limit=2").Header.Get("ETag"), "Prefer", `foo="bar"; a=b`, "Prefer", "Wait = 30; x")
	gone := s.held("/api/products/9", "If-None-Match", s.Do("GET", "/api/products/9").Header.Get("ETag"), "Prefer", "wait=30")

	s.Put(product{ID: 20, Name: "changed"})
	res := take(t, list)
	want(t, res, 200)
	if res.Header.Get("ETag") != `"`+s.Version()+`"` || res.Header.Get("Preference-Applied") != "wait=30" {
		t.Errorf("headers %v", res.Header)
	}
	if len(decode[[]product](t, res)) != 20 {
		t.Error("no list")
	}
	// The others have not changed, and wait on.
	if n := s.waiting(); n != 3 {
		t.Errorf("%d wait", n)
	}
	s.Put(product{ID: 2, Name: "changed"})
	if got := decode[product](t, take(t, row)); got.Name != "changed" {
		t.Errorf("row %+v", got)
	}
	if got := decode[[]product](t, take(t, page)); len(got) != 2 || got[1].Name != "changed" {
		t.Errorf("page %+v", got)
	}
	s.Delete(9)
	want(t, take(t, gone), 404)
	s.Until("nobody waits", func() bool { return s.waiting() == 0 })
}

func TestWaitEndsInTime(t *testing.T) {
	s := newShop(t, 1, Config{MaxWait: time.Millisecond})
	tag := `"` + s.Version() + `"`
	res := s.Do("GET", "/api/products", "If-None-Match", tag, "Prefer", "wait=100000")
	want(t, res, 304)
	if got := res.Header.Get("Preference-Applied"); got != "wait=1" || res.Header.Get("ETag") != tag {
		t.Errorf("headers %v", res.Header)
	}
	// Touch tells everybody that nothing has changed.
	s = newShop(t, 1)
	answer := s.held("/api/products", "If-None-Match", tag, "Prefer", "wait=1")
	v, _ := s.Reg.Lookup("products")
	if err := s.Reg.Touch(v); err != nil {
		t.Fatal(err)
	}
	want(t, take(t, answer), 304)
}

// A request is not held unless its tag matches, and the preference makes
// sense.
func TestNothingToWaitFor(t *testing.T) {
	s := newShop(t, 1)
	tag := `"` + s.Version() + `"`
	for _, c := range []struct {
		tag, prefer string
		status      int
	}{
		{"", "wait=30", 200},
		{`"other"`, "wait=30", 200},
		{"*", "wait=30", 304},
		{tag, "wait=0", 304},
		{tag, "wait", 304},
		{tag, "wait=-1", 304},
		{tag, "wait=soon", 304},
		{tag, "waiting=30", 304},
		{tag, "wait=0, wait=30", 304},
	} {
		headers := []string{"Prefer", c.prefer}
		if c.tag != "" {
			headers = append(headers, "If-None-Match", c.tag)
		}
		res := s.Do("GET", "/api/products", headers...)
		want(t, res, c.status)
		if got := res.Header.Get("Preference-Applied"); got != "" {
			t.Errorf("%+v: applied %q", c, got)
		}
	}
}

func TestWaitIsBounded(t *testing.T) {
	s := newShop(t, 1, Config{MaxWaiting: 1})
	headers := []string{"If-None-Match", `"` + s.Version() + `"`, "Prefer", "wait=30"}
	first := s.held("/api/products", headers...)
	res := s.Do("GET", "/api/products", headers...)
	want(t, res, 304)
	if res.Header.Get("Preference-Applied") != "" {
		t.Error("the preference was not applied, but the answer says so")
	}
	s.Put(product{ID: 1, Name: "changed"})
	want(t, take(t, first), 200)
	for _, cfg := range []Config{{MaxWaiting: -1}, {MaxWait: -1}} {
		s := newShop(t, 1, cfg)
		want(t, s.Do("GET", "/api/products", headers...), 304)
	}
}

func TestWaitEndsWithTheBinding(t *testing.T) {
	s := newShop(t, 1)
	headers := []string{"If-None-Match", `"` + s.Version() + `"`, "Prefer", "wait=30"}
	answer := s.held("/api/products", headers...)
	if err := s.Reg.Remove(t.Context(), "products"); err != nil {
		t.Fatal(err)
	}
	want(t, take(t, answer), 404)
}

func TestWaitEndsWithTheRegistry(t *testing.T) {
	s := newShop(t, 1)
	answer := s.held("/api/products", "If-None-Match", `"`+s.Version()+`"`, "Prefer", "wait=30")
	s.Shutdown()
	want(t, take(t, answer), 304)
	if n := s.waiting(); n != 0 {
		t.Errorf("%d wait after the shutdown", n)
	}
}

// A WriteTimeout does not end the waiting, and counts again afterwards; the client's
// end does end it.
func TestWaitOnARealServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, 1)
		network := wiretest.ListenPipes()
		server := &http.Server{Handler: s.Echo, WriteTimeout: 5 * time.Second}
		closed := make(chan time.Time, 2) // when connections were
		server.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				closed <- time.Now()
			}
		}
		served := make(chan error, 1)
		go func() { served <- server.Serve(network) }()
		defer func() {
			_ = server.Close()
			<-served
		}()
		dial := func() net.Conn {
			c, err := network.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		ask := func(c net.Conn, wait int) {
			if _, err := fmt.Fprintf(c, "GET /api/products HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"%s\"\r\nPrefer: wait=%d\r\n\r\n", s.Version(), wait); err != nil {
				t.Fatal(err)
			}
		}

		c := dial()
		begun := time.Now()
		ask(c, 60)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); res.StatusCode != http.StatusNotModified || took != 60*time.Second {
			t.Errorf("status %d after %v", res.StatusCode, took)
		}

		// The client does not read its answer.
		begun = time.Now()
		ask(c, 60)
		if took := (<-closed).Sub(begun); took != 65*time.Second {
			t.Errorf("an answer that nobody reads is given up after %v", took)
		}

		c = dial()
		ask(c, 60)
		synctest.Wait()
		if n := s.waiting(); n != 1 {
			t.Fatalf("%d wait", n)
		}
		_ = c.Close()
		synctest.Wait()
		if n := s.waiting(); n != 0 {
			t.Errorf("%d wait for a client that has gone", n)
		}
		if v := s.View("products"); s.Reg.StatusOf(v).State != status.Live || v.Counts().Subscribers != 0 {
			t.Errorf("status %+v", s.Reg.StatusOf(v))
		}
	})
}
