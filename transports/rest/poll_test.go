package rest

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core"
)

func TestPollWaitsForAChange(t *testing.T) {
	s := newShop(t, 3)
	v1 := s.Version()
	answer := s.held("/api/products?since=" + v1 + "&wait=30")
	s.Put(product{ID: 2, Name: "changed"})
	res := take(t, answer)
	want(t, res, http.StatusOK)
	got := decode[[]message](t, res)
	if len(got) != 1 || got[0].Action != "update" || got[0].Version != s.Version() || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%+v, %v", got, res.Header)
	}
	// What is not current is answered at once, and so is who does not wait.
	for _, target := range []string{"?since=" + v1 + "&wait=30", "?since=unknown&wait=30", "?since=" + s.Version() + "&wait=0"} {
		res := s.Do("GET", "/api/products"+target)
		want(t, res, http.StatusOK)
		if text := body(t, res); strings.Contains(target, s.Version()) != strings.Contains(text, `"payload":"ok"`) {
			t.Errorf("%s: %s", target, text)
		}
	}
	for target, culprit := range map[string]string{"?wait=3": "wait", "?since=x&wait=": "wait", "?since=x&wait=-1": "wait", "?since=x&wait=1.5": "wait", "?since=x&wait=1&limit=3": "since", "?since=x&since=y": "since"} {
		res := s.Do("GET", "/api/products"+target)
		want(t, res, http.StatusBadRequest)
		if text := body(t, res); !strings.Contains(text, `"field":"`+culprit+`"`) {
			t.Errorf("%s: %s", target, text)
		}
	}
	want(t, s.Do("GET", "/api/products/1?since=x&wait=1"), http.StatusBadRequest)
}

func TestPollEndsWithOK(t *testing.T) {
	s := newShop(t, 3, Config{MaxWait: time.Second, SharedMaxAge: time.Minute})
	for _, target := range []string{"&wait=1", "&wait=100000000000000000000"} {
		res := s.Do("GET", "/api/products?since="+s.Version()+target)
		want(t, res, http.StatusOK)
		got := decode[[]message](t, res)
		if len(got) != 1 || string(got[0].Payload) != `"ok"` || got[0].Version != s.Version() || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%+v, %v", got, res.Header)
		}
	}
	answer := s.held("/api/products?since=" + s.Version() + "&wait=1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = s.rest.held.Drain(ctx) // others are answered at once
	if text := body(t, s.Do("GET", "/api/products?since="+s.Version()+"&wait=1")); !strings.Contains(text, `"ok"`) {
		t.Error(text)
	}
	want(t, take(t, answer), http.StatusOK)
}

// The exact Cache-Control of each answer.
func TestSharedMaxAge(t *testing.T) {
	type answers map[string]string
	everything := func(s *shop) answers {
		v1 := s.Version()
		s.Put(product{ID: 2, Name: "changed"})
		tag := s.Do("GET", "/api/products").Header.Get("ETag")
		out := answers{}
		for name, c := range map[string]struct {
			target string
			header []string
		}{
			"list": {"/api/products", nil}, "page": {"/api/products?limit=2", nil}, "row": {"/api/products/1", nil},
			"304":     {"/api/products", []string{"If-None-Match", tag}},
			"changes": {"/api/products?since=" + v1, nil}, "sync": {"/api/products?since=unknown", nil},
			"ok": {"/api/products?since=" + s.Version(), nil}, "held ok": {"/api/products?since=" + s.Version() + "&wait=1", nil},
			"404": {"/api/products/99", nil}, "400": {"/api/products?since=", nil},
		} {
			out[name] = s.Do("GET", c.target, c.header...).Header.Get("Cache-Control")
		}
		answer := s.held("/api/products?since=" + s.Version() + "&wait=30")
		s.Put(product{ID: 2, Name: "again"})
		out["held changes"] = take(s.T.(*testing.T), answer).Header.Get("Cache-Control")
		return out
	}
	check := func(t *testing.T, s *shop, wanted answers) {
		t.Helper()
		for name, got := range everything(s) {
			if got != wanted[name] {
				t.Errorf("%s: Cache-Control %q, want %q", name, got, wanted[name])
			}
		}
	}
	of := func(state, changes string) answers {
		return answers{
			"list": state, "page": state, "row": state, "304": state, "changes": changes, "sync": changes, "held changes": changes,
			"ok": "no-store", "held ok": "no-store", "404": "no-store", "400": "no-store",
		}
	}
	t.Run("not shared", func(t *testing.T) { check(t, newShop(t, 3, Config{MaxWait: time.Second}), of("no-cache", "no-store")) })
	t.Run("shared", func(t *testing.T) {
		check(t, newShop(t, 3, Config{SharedMaxAge: 60 * time.Second, MaxWait: time.Second}), of("public, max-age=1", "public, max-age=60"))
	})
	t.Run("configured", func(t *testing.T) {
		cfg := Config{SharedMaxAge: 60 * time.Second, MaxWait: time.Second, CacheControl: map[string]string{"products": "max-age=9"}}
		check(t, newShop(t, 3, cfg), of("max-age=9", "public, max-age=60"))
	})
	t.Run("authorized", func(t *testing.T) {
		s := newAuthorizedShop(t, 3, core.AuthorizerFunc(func(context.Context, core.Access) (core.Decision, error) { return core.Allow(), nil }),
			Config{SharedMaxAge: 60 * time.Second, MaxWait: time.Second})
		check(t, s, of("private, no-cache", "no-store"))
	})
	for _, bad := range []time.Duration{-time.Second, 1500 * time.Millisecond} {
		if err := (Config{SharedMaxAge: bad}).Validate(); err == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
}
