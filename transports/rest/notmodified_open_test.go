package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
)

// ownPage serves at /page what belongs to whom the header Principal names.
func (s *store) ownPage(c Conditions, plain bool) (rendered *atomic.Int64) {
	rendered = new(atomic.Int64)
	render := func(w http.ResponseWriter, r *http.Request) {
		rendered.Add(1)
		of, err := core.Read[record](r.Context(), Granted(r.Context(), "of"))
		if err != nil {
			s.t.Errorf("reading: %v", err)
			return
		}
		_, _ = fmt.Fprintf(w, "%s:", r.Header.Get("Principal"))
		for row := range of.All() {
			_, _ = io.WriteString(w, " "+row.Title)
		}
	}
	if plain {
		s.e.GET("/page", echo.WrapHandler(c.Handler(http.HandlerFunc(render))))
	} else {
		s.e.GET("/page", func(c echo.Context) error { render(c.Response(), c.Request()); return nil }, c.Middleware())
	}
	return rendered
}

func (s *store) openOwn(r *http.Request) ([]*core.Grant, error) {
	who, _ := r.Context().Value(principalKey{}).(string)
	g, err := s.reg.Open(r.Context(), "of", core.Args{"owner": who})
	return []*core.Grant{g}, err
}

// inUse returns how many members are in use.
func (s *store) inUse() (n int) {
	for _, f := range s.reg.Status().Families {
		n += f.InUse
	}
	return n
}

// TestPagesOfTheOneWhoAsks: each is answered by the versions of what is theirs, and
// gets 304 by their own tag alone.
func TestPagesOfTheOneWhoAsks(t *testing.T) {
	both(t, func(t *testing.T, plain bool) {
		s := newStore(t, nil, Config{})
		rendered := s.ownPage(Conditions{Open: s.openOwn, Key: func(*http.Request) string { return "" }, Now: s.clock.now}, plain)
		s.clock.advance(1e10)
		get := func(who, tag string) *http.Response {
			return do(t, s.e, "GET", "/page", "Principal", who, "If-None-Match", tag)
		}
		ann, bob := get("ann", ""), get("bob", "")
		want(t, ann, 200)
		if got := body(t, ann); got != "ann: one three" {
			t.Errorf("shown %q", got)
		}
		h := ann.Header
		if !strings.HasPrefix(h.Get("ETag"), `W/"`) || h.Get("Cache-Control") != "private, "+DefaultCacheControl || h.Get("Last-Modified") != "" {
			t.Errorf("headers %v", h)
		}
		if nobody, none := get("nobody", ""), get("no one", ""); nobody.Header.Get("ETag") == none.Header.Get("ETag") {
			t.Error("two members without rows have one tag")
		}
		before := rendered.Load()
		want(t, get("ann", h.Get("ETag")), 304)
		want(t, get("bob", bob.Header.Get("ETag")), 304)
		if rendered.Load() != before {
			t.Error("the handler ran for a 304")
		}
		want(t, get("bob", h.Get("ETag")), 200)
		s.put(record{2, "bob", "changed"})
		want(t, get("ann", h.Get("ETag")), 304)
		want(t, get("bob", bob.Header.Get("ETag")), 200)
		if n := s.inUse(); n != 0 {
			t.Errorf("%d members are still in use", n)
		}
	})
}

// TestPagesVaryByDefault: without a Key the headers that tell who asks are part of
// the tag.
func TestPagesVaryByDefault(t *testing.T) {
	s := newStore(t, nil, Config{})
	s.ownPage(Conditions{Open: s.openOwn}, true)
	res := do(t, s.e, "GET", "/page", "Principal", "ann", "Cookie", "a=1")
	if got := strings.Join(res.Header["Vary"], ", "); got != "Authorization, Cookie, Accept, Accept-Language" {
		t.Errorf("Vary: %s", got)
	}
	want(t, do(t, s.e, "GET", "/page", "Principal", "ann", "Cookie", "a=1", "If-None-Match", res.Header.Get("ETag")), 304)
	want(t, do(t, s.e, "GET", "/page", "Principal", "ann", "Cookie", "a=2", "If-None-Match", res.Header.Get("ETag")), 200)
}

func TestPagesThatMayNotBeSeen(t *testing.T) {
	both(t, func(t *testing.T, plain bool) {
		var deny atomic.Bool
		s := newStore(t, core.AuthorizerFunc(func(context.Context, core.Access) (core.Decision, error) {
			if deny.Load() {
				return core.Deny(), nil
			}
			return core.Allow(), nil
		}), Config{})
		own := errors.New("of the application's own")
		var fail error
		open := func(r *http.Request) ([]*core.Grant, error) {
			grants, err := s.openOwn(r)
			return grants, errors.Join(err, fail)
		}
		c := Conditions{Open: open}
		rendered := s.ownPage(c, plain)
		tag := do(t, s.e, "GET", "/page", "Principal", "ann").Header.Get("ETag")
		deny.Store(true)
		res := do(t, s.e, "GET", "/page", "Principal", "ann", "If-None-Match", tag)
		if res.StatusCode != 403 || res.Header.Get("Content-Type") != "application/problem+json" || res.Header.Get("Cache-Control") != "no-store" || rendered.Load() != 1 {
			t.Errorf("%d, %v", res.StatusCode, res.Header)
		}
		deny.Store(false)
		fail = own // with a grant beside it
		want(t, do(t, s.e, "GET", "/page", "Principal", "ann"), 503)
		if n := s.inUse(); n != 0 {
			t.Errorf("%d members are still in use", n)
		}
		c.Refuse = func(w http.ResponseWriter, _ *http.Request, err error) {
			if !errors.Is(err, own) {
				t.Errorf("refused for %v", err)
			}
			w.WriteHeader(http.StatusTeapot)
		}
		if res := do(t, c.Handler(http.NotFoundHandler()), "GET", "/"); res.StatusCode != http.StatusTeapot {
			t.Errorf("refused with %d", res.StatusCode)
		}
	})
}

// TestPagesAreBegunAnewWhenRightsChange: what is opened before Reauthorize is not
// shown after it.
func TestPagesAreBegunAnewWhenRightsChange(t *testing.T) {
	s := newStore(t, core.AuthorizerFunc(func(context.Context, core.Access) (core.Decision, error) { return core.Allow(), nil }), Config{})
	opened := 0
	always := false
	s.ownPage(Conditions{Open: func(r *http.Request) ([]*core.Grant, error) {
		grants, err := s.openOwn(r)
		if opened++; opened == 1 || always {
			_ = s.reg.Reauthorize(r.Context())
		}
		return grants, err
	}}, true)
	want(t, do(t, s.e, "GET", "/page", "Principal", "ann"), 200)
	if opened != 2 {
		t.Errorf("opened %d times", opened)
	}
	always = true
	want(t, do(t, s.e, "GET", "/page", "Principal", "ann"), 503)
	if n := s.inUse(); n != 0 {
		t.Errorf("%d members are still in use", n)
	}
}
