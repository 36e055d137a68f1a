package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/transports/rest/internal/resttest"
)

// secret is in the errors of the authorizer, and nobody else's business.
const secret = "ldap://internal is away"

// guard is an authorizer: ann and bob see and write what is theirs, editor sees
// everything and writes what is ann's, reader writes nothing.
type guard struct {
	mu    sync.Mutex
	swaps map[string]string // who has the rights of somebody else; guarded by mu
}

func (g *guard) swap(who, with string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.swaps == nil {
		g.swaps = make(map[string]string)
	}
	g.swaps[who] = with
}

func (g *guard) Authorize(ctx context.Context, a core.Access) (core.Decision, error) {
	who := resttest.Principal(ctx)
	g.mu.Lock()
	if as, ok := g.swaps[who]; ok {
		who = as
	}
	g.mu.Unlock()
	switch who {
	case "root":
		return core.Allow(), nil
	case "ann", "bob":
		return core.AllowWhere(filter.Eq("owner", who)), nil
	case "editor":
		if a.Action == core.ActionRead {
			return core.Allow(), nil
		}
		return core.AllowWhere(filter.Eq("owner", "ann")), nil
	case "reader":
		if a.Action == core.ActionRead {
			return core.Allow(), nil
		}
		return core.Deny(), nil
	case "lost":
		return core.Allow(), errors.New(secret)
	case "":
		return core.Unauthenticated(`Bearer realm="records"`), nil
	}
	return core.Deny(), nil
}

// TestWhoMaySeeWhat asks for everything that can be read as somebody who may see
// a part of it, and looks for the rest.
func TestWhoMaySeeWhat(t *testing.T) {
	s := newStore(t, &guard{}, Config{CacheControl: map[string]string{"open": "max-age=60", "of": "public, max-age=60"}})
	var tags, tokens []string // of others
	for _, who := range []string{"root", "bob"} {
		for _, target := range []string{"", "?limit=2", "?limit=2&offset=2", "/2", "/4"} {
			res := s.As(who, "GET", "/api/records"+target, "")
			want(t, res, 200)
			tags = append(tags, res.Header.Get("ETag"))
		}
		tokens = append(tokens, strings.Trim(s.As(who, "GET", "/api/records", "").Header.Get("ETag"), `"`))
	}
	// So that versions from before are in the logs, too.
	s.Put(record{ID: 2, Owner: "bob", Title: "two of bob's"}, record{ID: 1, Owner: "ann", Title: "one of ann's"})
	for _, who := range []string{"root", "bob"} {
		tokens = append(tokens, strings.Trim(s.As(who, "GET", "/api/records", "").Header.Get("ETag"), `"`))
	}

	const own = `[{"id":1,"owner":"ann","title":"one of ann's"},{"id":3,"owner":"ann","title":"three"}]` + "\n"
	whole := s.As("ann", "GET", "/api/records", "")
	if got := body(t, whole); got != own {
		t.Errorf("the list shows %s", got)
	}
	targets := []string{"/api/records", "/api/open", "/api/of?owner=ann", "/api/of?owner=bob", "/api/records?limit=10", "/api/records?limit=1&offset=1", "/api/records/1"}
	for _, token := range tokens {
		targets = append(targets, "/api/records?since="+token, "/api/open?since="+token, "/api/of?owner=ann&since="+token, "/api/of?owner=bob&since="+token)
	}
	for _, target := range targets {
		res := s.As("ann", "GET", target, "")
		text := body(t, res)
		if res.StatusCode != 200 || strings.Contains(text, "bob's") || strings.Contains(text, `"bob","title`) || strings.Contains(text, "two") || strings.Contains(text, "four") {
			t.Errorf("%s: %d, shows %s", target, res.StatusCode, text)
		}
		if total := res.Header.Get("X-Total-Count"); total != "" && total != "2" {
			t.Errorf("%s: there are %s rows", target, total)
		}
		head := s.As("ann", "HEAD", target, "")
		if got := head.Header.Get("Content-Length"); got != fmt.Sprint(len(text)) {
			t.Errorf("HEAD %s: Content-Length %s, the body has %d", target, got, len(text))
		}
		control := res.Header.Get("Cache-Control")
		if strings.HasPrefix(target, "/api/of") {
			if !strings.Contains(control, "public") && !strings.Contains(target, "since") {
				t.Errorf("%s: Cache-Control %q is not what was configured", target, control)
			}
		} else if !strings.HasPrefix(control, "private") && control != "no-store" {
			t.Errorf("%s: Cache-Control %q: caches may give it to others", target, control)
		}
		// Tags of others tell nothing about what they have.
		for _, tag := range tags {
			if res := s.As("ann", "GET", target, "", "If-None-Match", tag); res.StatusCode != 200 {
				t.Errorf("%s with the tag %s of somebody else: %d", target, tag, res.StatusCode)
			}
		}
		if tag := res.Header.Get("ETag"); tag != "" {
			want(t, s.As("ann", "GET", target, "", "If-None-Match", tag), 304)
		}
	}
	for _, target := range []string{"/api/records/2", "/api/open/4", "/api/of/2?owner=bob", "/api/of/2?owner=ann", "/api/records/99"} {
		for _, tag := range append(tags, "*") {
			res := s.As("ann", "GET", target, "", "If-None-Match", tag)
			if got := body(t, res); res.StatusCode != 404 || got != body(t, s.As("ann", "GET", "/api/records/99", "")) {
				t.Errorf("%s: %d %s", target, res.StatusCode, got)
			}
		}
	}
}

// TestWhoMayWriteWhat: who may not is told so, and nothing is written.
func TestWhoMayWriteWhat(t *testing.T) {
	s := newStore(t, &guard{}, Config{})
	before := fmt.Sprint(s.Table.Rows())
	for _, c := range []struct {
		who, method, target, body string
		status                    int
	}{
		// ann sees and writes what is hers.
		{"ann", "PUT", "/api/records/2", `{"owner":"ann","title":"mine"}`, 404},
		{"ann", "PATCH", "/api/records/2", `{"title":"mine"}`, 404},
		{"ann", "DELETE", "/api/records/2", ``, 404},
		{"ann", "DELETE", "/api/of/2?owner=bob", ``, 404},
		{"ann", "POST", "/api/records", `{"id":9,"owner":"bob","title":"a gift"}`, 422},
		{"ann", "PATCH", "/api/records/1", `{"owner":"bob"}`, 422},
		{"ann", "POST", "/api/of?owner=bob", `{"id":9,"owner":"bob","title":"a gift"}`, 422},
		// editor sees everything, and writes what is ann's.
		{"editor", "PUT", "/api/records/2", `{"owner":"ann","title":"taken"}`, 403},
		{"editor", "PATCH", "/api/records/2", `{"title":"other"}`, 403},
		{"editor", "DELETE", "/api/records/2", ``, 403},
		{"editor", "PATCH", "/api/records/1", `{"owner":"bob"}`, 403},
		{"editor", "POST", "/api/records", `{"id":9,"owner":"bob","title":"a gift"}`, 403},
		{"editor", "DELETE", "/api/of/2?owner=bob", ``, 403},
		// Others write nothing.
		{"reader", "PUT", "/api/records/1", `{"owner":"ann","title":"x"}`, 403},
		{"reader", "PATCH", "/api/records/1", `{"title":"x"}`, 403},
		{"reader", "DELETE", "/api/records/1", ``, 403},
		{"reader", "POST", "/api/records", `{"id":9,"owner":"ann","title":"x"}`, 403},
		{"root", "DELETE", "/api/open/1", ``, 405},
	} {
		want(t, s.As(c.who, c.method, c.target, c.body), c.status)
		if after := fmt.Sprint(s.Table.Rows()); after != before {
			t.Fatalf("%s %s as %s has written: %s", c.method, c.target, c.who, after)
		}
	}
	want(t, s.As("ann", "PATCH", "/api/records/1", `{"title":"ONE"}`), 200)
	want(t, s.As("editor", "PATCH", "/api/records/1", `{"title":"uno"}`), 200)
	want(t, s.As("editor", "POST", "/api/records", `{"id":9,"owner":"ann","title":"nine"}`), 201)
	want(t, s.As("ann", "DELETE", "/api/records/9", ""), 204)
}

// TestWhoIsRefused: with every method, the same words whether there is a row or
// not.
func TestWhoIsRefused(t *testing.T) {
	s := newStore(t, &guard{}, Config{})
	tag := s.As("root", "GET", "/api/records", "").Header.Get("ETag")
	for who, status := range map[string]int{"eve": 403, "": 401, "lost": 503} {
		for _, target := range []string{"/api/records", "/api/records?limit=1", "/api/records?since=" + strings.Trim(tag, `"`), "/api/records/1", "/api/records/99", "/api/of?owner=ann", "/api/of/1?owner=ann", "/api/open"} {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
				res := s.As(who, method, target, `{"id":9,"owner":"ann","title":"x"}`, "If-None-Match", tag, "Prefer", "wait=60")
				want(t, res, status)
				if text := body(t, res); strings.Contains(text, secret) || strings.Contains(text, "owner") {
					t.Errorf("%s %s as %q: %s", method, target, who, text)
				}
				if got := res.Header.Get("WWW-Authenticate"); (got == `Bearer realm="records"`) != (status == 401) {
					t.Errorf("%s %s as %q: WWW-Authenticate %q", method, target, who, got)
				}
				if got := res.Header.Get("Retry-After"); (got != "") != (status == 503) {
					t.Errorf("%s %s as %q: Retry-After %q", method, target, who, got)
				}
				if res.Header.Get("ETag") != "" || res.Header.Get("Link") != "" || res.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("%s %s as %q: headers %v", method, target, who, res.Header)
				}
			}
		}
		want(t, s.As(who, "GET", "/api/none", ""), 404)
	}
}

// TestRightsOfWhoWaits: a request that is held ends when the leave to read does.
func TestRightsOfWhoWaits(t *testing.T) {
	for as, status := range map[string]int{"eve": 403, "bob": 200, "": 401} {
		g := &guard{}
		s := newStore(t, g, Config{})
		tag := s.As("ann", "GET", "/api/records", "").Header.Get("ETag")
		answer := make(chan *http.Response, 1)
		go func() {
			answer <- s.As("ann", "GET", "/api/records", "", "If-None-Match", tag, "Prefer", "wait=60")
		}()
		s.Until("the request is held", func() bool {
			return s.rest.held.Len() == 1
		})
		g.swap("ann", as)
		if err := s.Reg.Reauthorize(t.Context()); err != nil {
			t.Fatal(err)
		}
		res := <-answer
		want(t, res, status)
		if text := body(t, res); strings.Contains(text, "one") || strings.Contains(text, "two") != (as == "bob") {
			t.Errorf("with the rights of %q: %s", as, text)
		}
	}
}

// The 304 of a binding as a whole costs what it did before there were members.
func TestNotModifiedOfAWholeBindingAllocatesLittle(t *testing.T) {
	s := newShop(t, 10)
	ask := asker(t, s.Echo, 304, "/api/products", "If-None-Match", s.Do("GET", "/api/products").Header.Get("ETag"))
	most := 2.0 // one is the exchange
	if raced {
		most = 10
	}
	if got := testing.AllocsPerRun(200, ask); got > most {
		t.Errorf("%v allocations", got)
	}
}

// TestDatesDoNotTellRightsApart: what somebody may see from now on may have been
// there for longer than what they saw before.
func TestDatesDoNotTellRightsApart(t *testing.T) {
	g := &guard{}
	s := newStore(t, g, Config{})
	s.As("bob", "GET", "/api/records", "")
	s.Clock.Advance(time.Minute)
	date := s.Clock.Now().Format(http.TimeFormat)
	g.swap("bob", "root")
	for _, target := range []string{"/api/records", "/api/records?limit=2", "/api/records/1"} {
		res := s.As("bob", "GET", target, "", "If-Modified-Since", date)
		if want(t, res, 200); res.Header.Get("Last-Modified") != "" {
			t.Errorf("%s: the answer is dated", target)
		}
	}
}
