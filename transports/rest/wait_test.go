package rest

import (
	"context"
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

// The client's end ends the waiting; a WriteTimeout does not, and still counts
// afterwards.
func TestWaitOnARealServer(t *testing.T) {
	s := newShop(t, 1)
	server := httptest.NewUnstartedServer(s.Echo)
	server.Config.WriteTimeout = 900 * time.Millisecond
	server.Start()
	defer server.Close()
	client := server.Client()
	ask := func(ctx context.Context, wait int) (*http.Response, error) {
		r, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/api/products", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("If-None-Match", `"`+s.Version()+`"`)
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
	s.Until("the request is held", func() bool { return s.waiting() == 1 })
	cancel()
	if err := <-failed; err == nil {
		t.Error("answered a request that was cancelled")
	}
	s.Until("nobody waits", func() bool { return s.waiting() == 0 })
	if v, _ := s.Reg.Lookup("products"); s.Reg.StatusOf(v).State != status.Live || v.Counts().Subscribers != 0 {
		t.Errorf("status %+v", s.Reg.StatusOf(v))
	}
}
