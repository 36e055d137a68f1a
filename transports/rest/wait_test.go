package rest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core/status"
)

// held starts a request that waits and returns where its answer will come, once
// the transport holds it.
func (s *shop) held(target string, headers ...string) <-chan *http.Response {
	s.t.Helper()
	before := s.waiting()
	answer := make(chan *http.Response, 1)
	r := httptest.NewRequest("GET", target, nil).WithContext(s.t.Context())
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	go func() {
		rec := httptest.NewRecorder()
		s.e.ServeHTTP(rec, r)
		answer <- rec.Result()
	}()
	s.until("the request is held", func() bool { return s.waiting() > before })
	return answer
}

func (s *shop) waiting() int {
	s.rest.holds.mu.Lock()
	defer s.rest.holds.mu.Unlock()
	return s.rest.holds.n
}

// until polls a condition, and fails the test when it does not come true.
func (s *shop) until(what string, condition func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited in vain until %s", what)
		}
	}
}

func take(t *testing.T, answer <-chan *http.Response) *http.Response {
	t.Helper()
	select {
	case res := <-answer:
		return res
	case <-time.After(60 * time.Second):
		t.Fatal("no answer")
		return nil
	}
}

func TestWaitForAChange(t *testing.T) {
	s := newShop(t, 20)
	list := s.held("/api/products", "If-None-Match", `"`+s.version()+`"`, "Prefer", "wait=30")
	row := s.held("/api/products/2", "If-None-Match", s.do("GET", "/api/products/2").Header.Get("ETag"), "Prefer", "respond-async, wait=30")
	page := s.held("/api/products?limit=2", "If-None-Match", s.do("GET", "/api/products?limit=2").Header.Get("ETag"), "Prefer", `foo="bar"; a=b`, "Prefer", "Wait = 30; x")
	gone := s.held("/api/products/9", "If-None-Match", s.do("GET", "/api/products/9").Header.Get("ETag"), "Prefer", "wait=30")

	s.put(product{20, "changed"})
	res := take(t, list)
	want(t, res, 200)
	if res.Header.Get("ETag") != `"`+s.version()+`"` || res.Header.Get("Preference-Applied") != "wait=30" {
		t.Errorf("headers %v", res.Header)
	}
	if len(decode[[]product](t, res)) != 20 {
		t.Error("no list")
	}
	// The others have not changed, and wait on.
	if n := s.waiting(); n != 3 {
		t.Errorf("%d wait", n)
	}
	s.put(product{2, "changed"})
	if got := decode[product](t, take(t, row)); got.Name != "changed" {
		t.Errorf("row %+v", got)
	}
	if got := decode[[]product](t, take(t, page)); len(got) != 2 || got[1].Name != "changed" {
		t.Errorf("page %+v", got)
	}
	s.delete(9)
	want(t, take(t, gone), 404)
	s.until("nobody waits", func() bool { return s.waiting() == 0 })
}

func TestWaitEndsInTime(t *testing.T) {
	s := newShop(t, 1, Config{MaxWait: time.Millisecond})
	tag := `"` + s.version() + `"`
	res := s.do("GET", "/api/products", "If-None-Match", tag, "Prefer", "wait=100000")
	want(t, res, 304)
	if got := res.Header.Get("Preference-Applied"); got != "wait=1" || res.Header.Get("ETag") != tag {
		t.Errorf("headers %v", res.Header)
	}
	// Touch tells everybody that nothing has changed.
	s = newShop(t, 1)
	answer := s.held("/api/products", "If-None-Match", tag, "Prefer", "wait=1")
	v, _ := s.reg.Lookup("products")
	if err := s.reg.Touch(v); err != nil {
		t.Fatal(err)
	}
	want(t, take(t, answer), 304)
}

// A request is not held unless its tag matches, and the preference makes
// sense.
func TestNothingToWaitFor(t *testing.T) {
	s := newShop(t, 1)
	tag := `"` + s.version() + `"`
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
		res := s.do("GET", "/api/products", headers...)
		want(t, res, c.status)
		if got := res.Header.Get("Preference-Applied"); got != "" {
			t.Errorf("%+v: applied %q", c, got)
		}
	}
}

func TestWaitIsBounded(t *testing.T) {
	s := newShop(t, 1, Config{MaxWaiting: 1})
	headers := []string{"If-None-Match", `"` + s.version() + `"`, "Prefer", "wait=30"}
	first := s.held("/api/products", headers...)
	res := s.do("GET", "/api/products", headers...)
	want(t, res, 304)
	if res.Header.Get("Preference-Applied") != "" {
		t.Error("the preference was not applied, but the answer says so")
	}
	s.put(product{1, "changed"})
	want(t, take(t, first), 200)
	for _, cfg := range []Config{{MaxWaiting: -1}, {MaxWait: -1}} {
		s := newShop(t, 1, cfg)
		want(t, s.do("GET", "/api/products", headers...), 304)
	}
}

func TestWaitEndsWithTheBinding(t *testing.T) {
	s := newShop(t, 1)
	headers := []string{"If-None-Match", `"` + s.version() + `"`, "Prefer", "wait=30"}
	answer := s.held("/api/products", headers...)
	if err := s.reg.Remove(t.Context(), "products"); err != nil {
		t.Fatal(err)
	}
	want(t, take(t, answer), 404)
}

func TestWaitEndsWithTheRegistry(t *testing.T) {
	s := newShop(t, 1)
	answer := s.held("/api/products", "If-None-Match", `"`+s.version()+`"`, "Prefer", "wait=30")
	s.shutdown()
	want(t, take(t, answer), 304)
	if n := s.waiting(); n != 0 {
		t.Errorf("%d wait after the shutdown", n)
	}
}

func TestDrainHonoursItsContext(t *testing.T) {
	h := holds{max: 1}
	if !h.begin() {
		t.Fatal("nobody waits, but there is no room")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.drain(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("drained although a request waits: %v", err)
	}
	h.end()
	if h.begin() {
		t.Error("a request waits after the end")
	}
}

// The client's end ends the waiting; a WriteTimeout does not, and still counts
// afterwards.
func TestWaitOnARealServer(t *testing.T) {
	s := newShop(t, 1)
	server := httptest.NewUnstartedServer(s.e)
	server.Config.WriteTimeout = 900 * time.Millisecond
	server.Start()
	defer server.Close()
	client := server.Client()
	ask := func(ctx context.Context, wait int) (*http.Response, error) {
		r, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/api/products", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("If-None-Match", `"`+s.version()+`"`)
		r.Header.Set("Prefer", "wait="+strconv.Itoa(wait))
		return client.Do(r)
	}
	// One second is longer than the WriteTimeout.
	res, err := ask(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if res.StatusCode != 304 {
		t.Errorf("status %d", res.StatusCode)
	}

	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		res, err := ask(ctx, 60)
		if err == nil {
			_ = res.Body.Close()
		}
		failed <- err
	}()
	s.until("the request is held", func() bool { return s.waiting() == 1 })
	cancel()
	if err := <-failed; err == nil {
		t.Error("answered a request that was cancelled")
	}
	s.until("nobody waits", func() bool { return s.waiting() == 0 })
	if v, _ := s.reg.Lookup("products"); s.reg.StatusOf(v).State != status.Live || v.Counts().Subscribers != 0 {
		t.Errorf("status %+v", s.reg.StatusOf(v))
	}
}

func TestPreferredWait(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"":                              0,
		"wait=5":                        5 * time.Second,
		`wait="5"`:                      5 * time.Second,
		"a, b=c, WAIT=7; x=y":           7 * time.Second,
		"wait=99999999999":              1<<63 - 1,
		"wait=999999999999999999999999": 1<<63 - 1,
		"wait=1.5":                      0,
		"wait=":                         0,
		"waits=5":                       0,
	} {
		if got, _ := preferredWait([]string{header}); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}
