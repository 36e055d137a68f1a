package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// problemType returns the type of a problem without what all types begin with.
func problemType(t *testing.T, res *http.Response) string {
	t.Helper()
	var p struct{ Type string }
	if err := json.Unmarshal([]byte(body(t, res)), &p); err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(p.Type, "urn:bindery:problem:")
}

// TestMarkOfAWrite: every write's answer bears a mark, which reads of all kinds are
// then answered with.
func TestMarkOfAWrite(t *testing.T) {
	s := newStock(t, 3)
	for _, w := range []struct {
		method, target, body string
		status               int
	}{
		{http.MethodPost, "/api/stock", `{"id":10,"name":"new"}`, http.StatusCreated},
		{http.MethodPatch, "/api/stock/1", `{"name":"other"}`, http.StatusOK},
		{http.MethodPut, "/api/stock/2", `{"name":"put"}`, http.StatusOK},
		{http.MethodDelete, "/api/stock/3", "", http.StatusNoContent},
	} {
		res := s.send(w.method, w.target, w.body)
		want(t, res, w.status)
		mark := res.Header.Get("Bindery-Mark")
		if mark == "" || len(mark) > 256 {
			t.Fatalf("%s: mark %q", w.method, mark)
		}
		for _, target := range []string{"/api/products", "/api/products?limit=1", "/api/products/1", "/api/products?since=" + s.Version(), "/api/stock"} {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				for _, headers := range [][]string{{"Bindery-Mark", mark}, nil} {
					url := target
					if headers == nil {
						sep := "?"
						if strings.Contains(url, "?") {
							sep = "&"
						}
						url += sep + "mark=" + mark
					}
					res := s.Do(method, url, headers...)
					want(t, res, http.StatusOK)
					if got := res.Header.Get("Bindery-Mark"); got != mark {
						t.Errorf("%s %s: mark %q", method, url, got)
					}
					if tag := res.Header.Get("ETag"); tag != "" {
						res = s.Do(method, url, append(headers, "If-None-Match", tag)...)
						want(t, res, http.StatusNotModified)
						if got := res.Header.Get("Bindery-Mark"); got != mark {
							t.Errorf("%s %s, not modified: mark %q", method, url, got)
						}
					}
				}
			}
		}
		if res := s.Do(http.MethodGet, "/api/products/77", "Bindery-Mark", mark); res.StatusCode != http.StatusNotFound || res.Header.Get("Bindery-Mark") != mark {
			t.Errorf("a row that is not there: %d, mark %q", res.StatusCode, res.Header.Get("Bindery-Mark"))
		}
	}
	for _, w := range [][3]string{{http.MethodPost, "/api/stock", `{`}, {http.MethodPatch, "/api/stock/99", `{}`}, {http.MethodGet, "/api/stock", ""}} {
		if res := s.send(w[0], w[1], w[2]); res.Header.Get("Bindery-Mark") != "" {
			t.Errorf("%v bears a mark", w)
		}
	}
}

// TestBadMarks: what is no mark, or nobody's here, is refused and never answered as if
// it were reached.
func TestBadMarks(t *testing.T) {
	s, other := newStock(t, 1), newStock(t, 1)
	foreign := other.send(http.MethodPatch, "/api/stock/1", `{"name":"x"}`).Header.Get("Bindery-Mark")
	own := s.send(http.MethodPatch, "/api/stock/1", `{"name":"x"}`).Header.Get("Bindery-Mark")
	for mark, want := range map[string]string{
		foreign:                  "foreign-mark",
		"":                       "malformed-mark",
		"garbage":                "malformed-mark",
		own[1:]:                  "malformed-mark",
		strings.Repeat("A", 257): "malformed-mark",
	} {
		for _, target := range []string{"/api/products", "/api/products/1", "/api/products?limit=1", "/api/products?since=x&wait=1"} {
			res := s.Do(http.MethodGet, target, "Bindery-Mark", mark)
			if got := problemType(t, res); res.StatusCode != http.StatusBadRequest || got != want || res.Header.Get("Bindery-Mark") != "" {
				t.Errorf("GET %s with mark %q: %d %s", target, mark, res.StatusCode, got)
			}
		}
	}
	if res := s.Do(http.MethodGet, "/api/products?mark="); problemType(t, res) != "malformed-mark" {
		t.Error("an empty parameter is taken for none")
	}
	res := s.Do(http.MethodGet, "/api/products", "Bindery-Mark", own, "Bindery-Mark", own)
	if problemType(t, res) != "malformed-mark" {
		t.Error("two marks are taken for one")
	}
	if res := s.send(http.MethodPatch, "/api/stock/1?mark="+own, `{}`); res.StatusCode != http.StatusBadRequest {
		t.Errorf("a write with a mark: %d", res.StatusCode)
	}
}

// TestHeldForAMark: a request is held while the mark is not reached, for five seconds
// or as long as it says, and then told so.
func TestHeldForAMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, 1)
		s.Source.Sink().Lost(errors.New("blind"))
		s.Table.Put(product{ID: 2, Name: "unseen"})
		mark, err := s.Reg.Mark(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for prefer, seconds := range map[string]int{"": 5, "wait=2": 2, "wait=0": 0, "wait=7": 7} {
			begun := time.Now()
			headers := []string{"Bindery-Mark", mark}
			if prefer != "" {
				headers = append(headers, "Prefer", prefer)
			}
			res := s.Do(http.MethodGet, "/api/products", headers...)
			if took := time.Since(begun); took != time.Duration(seconds)*time.Second {
				t.Errorf("%q: held for %v", prefer, took)
			}
			if got := problemType(t, res); res.StatusCode != http.StatusServiceUnavailable || got != "not-reached" || res.Header.Get("Retry-After") == "" {
				t.Errorf("%q: %d %s", prefer, res.StatusCode, got)
			}
			if applied := res.Header.Get("Preference-Applied"); applied != prefer {
				t.Errorf("%q: Preference-Applied %q", prefer, applied)
			}
		}
		answered := make(chan *http.Response, 1)
		go func() { answered <- s.Do(http.MethodGet, "/api/products?mark="+mark) }()
		synctest.Wait()
		if open := s.rest.Status().Open; open != 1 {
			t.Errorf("%d requests are counted as held", open)
		}
		s.Source.Sink().Watching()
		res := <-answered
		if text := body(t, res); res.StatusCode != http.StatusOK || !strings.Contains(text, "unseen") {
			t.Errorf("%d %s", res.StatusCode, text)
		}
		// What is reached needs no waiting, also where none is left.
		s.Source.Sink().Lost(errors.New("blind"))
		want(t, s.Do(http.MethodGet, "/api/products", "Bindery-Mark", mark, "Prefer", "wait=0"), http.StatusOK)

		later, _ := s.Reg.Mark(t.Context())
		go func() { answered <- s.Do(http.MethodGet, "/api/products?mark="+later) }()
		synctest.Wait()
		s.Shutdown()
		if res := <-answered; problemType(t, res) != "shutting-down" {
			t.Errorf("at shutdown: %d", res.StatusCode)
		}
	})
}

// TestMarkThenChange: a request may wait for a mark and then, for what is left of its
// time, for a change.
func TestMarkThenChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, 1)
		tag := s.Do(http.MethodGet, "/api/products").Header.Get("ETag")
		s.Source.Sink().Lost(errors.New("blind"))
		mark, _ := s.Reg.Mark(t.Context())
		time.AfterFunc(2*time.Second, s.Source.Sink().Watching)
		begun := time.Now()
		res := s.Do(http.MethodGet, "/api/products", "If-None-Match", tag, "Bindery-Mark", mark, "Prefer", "wait=6")
		want(t, res, http.StatusNotModified)
		if took := time.Since(begun); took != 6*time.Second {
			t.Errorf("held for %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Reg.Reach(ctx, mark); err != nil {
			t.Error(err)
		}
	})
}

// TestMarksAndCaches: where caches may answer by themselves they are told that a
// request with a mark is not answered by what they keep.
func TestMarksAndCaches(t *testing.T) {
	for name, c := range map[string]struct {
		cfg    Config
		varies bool
	}{
		"private": {Config{}, false},
		"shared":  {Config{SharedMaxAge: time.Minute}, true},
		"aged":    {Config{CacheControl: map[string]string{"products": "max-age=10"}}, true},
	} {
		s := newShop(t, 1, c.cfg)
		for _, target := range []string{"/api/products", "/api/products/1", "/api/products?since=x"} {
			vary := strings.Join(s.Do(http.MethodGet, target).Header["Vary"], ", ")
			if strings.Contains(vary, "Bindery-Mark") != c.varies || !strings.Contains(vary, "Accept-Encoding") {
				t.Errorf("%s, %s: Vary %q", name, target, vary)
			}
		}
	}
}

// BenchmarkMark is GET with a mark that is reached, beside GET without one.
func BenchmarkMark(b *testing.B) {
	s := newShop(b, 1000)
	tag := s.Do(http.MethodGet, "/api/products").Header.Get("ETag")
	mark, err := s.Reg.Mark(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Reg.Reach(b.Context(), mark); err != nil {
		b.Fatal(err)
	}
	for name, headers := range map[string][]string{"without": {"If-None-Match", tag}, "with": {"If-None-Match", tag, "Bindery-Mark", mark}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if res := s.Do(http.MethodGet, "/api/products", headers...); res.StatusCode != http.StatusNotModified {
					b.Fatal(res.StatusCode)
				}
			}
		})
	}
}
