package notmodified

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
	"github.com/binderyhq/bindery/transports/rest/internal/resttest"
)

// ownPage serves at /page what belongs to whom the header Principal names.
func ownPage(s *resttest.Store, c Conditions, plain bool) (rendered *atomic.Int64) {
	rendered = new(atomic.Int64)
	render := func(w http.ResponseWriter, r *http.Request) {
		rendered.Add(1)
		of, err := core.Read[resttest.Record](r.Context(), Granted(r.Context(), "of"))
		if err != nil {
			s.T.Errorf("reading: %v", err)
			return
		}
		_, _ = fmt.Fprintf(w, "%s:", r.Header.Get("Principal"))
		for row := range of.All() {
			_, _ = io.WriteString(w, " "+row.Title)
		}
	}
	if plain {
		s.Echo.GET("/page", echo.WrapHandler(Wrap(http.HandlerFunc(render), c, defaults)))
	} else {
		s.Echo.GET("/page", func(c echo.Context) error { render(c.Response(), c.Request()); return nil }, Middleware(c, defaults))
	}
	return rendered
}

func openOwn(s *resttest.Store) func(*http.Request) ([]*core.Grant, error) {
	return func(r *http.Request) ([]*core.Grant, error) {
		g, err := s.Reg.Open(r.Context(), "of", core.Args{"owner": resttest.Principal(r.Context())})
		return []*core.Grant{g}, err
	}
}

// inUse returns how many members are in use.
func inUse(s *resttest.Store) (n int) {
	for _, f := range s.Reg.Status().Families {
		n += f.InUse
	}
	return n
}

// TestPagesOfTheOneWhoAsks: each is answered by the versions of what is theirs, and
// gets 304 by their own tag alone.
func TestPagesOfTheOneWhoAsks(t *testing.T) {
	both(t, func(t *testing.T, plain bool) {
		s := resttest.NewStore(t, nil, nil)
		rendered := ownPage(s, Conditions{Open: openOwn(s), Key: func(*http.Request) string { return "" }, Now: s.Clock.Now}, plain)
		s.Clock.Advance(1e10)
		get := func(who, tag string) *http.Response {
			return do(t, s.Echo, "GET", "/page", "Principal", who, "If-None-Match", tag)
		}
		ann, bob := get("ann", ""), get("bob", "")
		want(t, ann, 200)
		if got := body(t, ann); got != "ann: one three" {
			t.Errorf("shown %q", got)
		}
		h := ann.Header
		if !strings.HasPrefix(h.Get("ETag"), `W/"`) || h.Get("Cache-Control") != "private, "+defaults.CacheControl || h.Get("Last-Modified") != "" {
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
		s.Put(resttest.Record{ID: 2, Owner: "bob", Title: "changed"})
		want(t, get("ann", h.Get("ETag")), 304)
		want(t, get("bob", bob.Header.Get("ETag")), 200)
		if n := inUse(s); n != 0 {
			t.Errorf("%d members are still in use", n)
		}
	})
}

// TestPagesVaryByDefault: without a Key the headers that tell who asks are part of
// the tag.
func TestPagesVaryByDefault(t *testing.T) {
	s := resttest.NewStore(t, nil, nil)
	ownPage(s, Conditions{Open: openOwn(s)}, true)
	res := do(t, s.Echo, "GET", "/page", "Principal", "ann", "Cookie", "a=1")
	if got := strings.Join(res.Header["Vary"], ", "); got != "Authorization, Cookie, Accept, Accept-Language" {
		t.Errorf("Vary: %s", got)
	}
	want(t, do(t, s.Echo, "GET", "/page", "Principal", "ann", "Cookie", "a=1", "If-None-Match", res.Header.Get("ETag")), 304)
	want(t, do(t, s.Echo, "GET", "/page", "Principal", "ann", "Cookie", "a=2", "If-None-Match", res.Header.Get("ETag")), 200)
}

func TestPagesThatMayNotBeSeen(t *testing.T) {
	both(t, func(t *testing.T, plain bool) {
		var deny atomic.Bool
		s := resttest.NewStore(t, core.AuthorizerFunc(func(context.Context, core.Access) (core.Decision, error) {
			if deny.Load() {
				return core.Deny(), nil
			}
			return core.Allow(), nil
		}), nil)
		own := errors.New("of the application's own")
		var fail error
		open := func(r *http.Request) ([]*core.Grant, error) {
			grants, err := openOwn(s)(r)
			return grants, errors.Join(err, fail)
		}
		c := Conditions{Open: open}
		rendered := ownPage(s, c, plain)
		tag := do(t, s.Echo, "GET", "/page", "Principal", "ann").Header.Get("ETag")
		deny.Store(true)
		res := do(t, s.Echo, "GET", "/page", "Principal", "ann", "If-None-Match", tag)
		if res.StatusCode != 403 || res.Header.Get("Content-Type") != "application/problem+json" || res.Header.Get("Cache-Control") != "no-store" || rendered.Load() != 1 {
			t.Errorf("%d, %v", res.StatusCode, res.Header)
		}
		deny.Store(false)
		fail = own // with a grant beside it
		want(t, do(t, s.Echo, "GET", "/page", "Principal", "ann"), 503)
		if n := inUse(s); n != 0 {
			t.Errorf("%d members are still in use", n)
		}
		c.Refuse = func(w http.ResponseWriter, _ *http.Request, err error) {
			if !errors.Is(err, own) {
				t.Errorf("refused for %v", err)
			}
			w.WriteHeader(http.StatusTeapot)
		}
		if res := do(t, Wrap(http.NotFoundHandler(), c, defaults), "GET", "/"); res.StatusCode != http.StatusTeapot {
			t.Errorf("refused with %d", res.StatusCode)
		}
	})
}

// TestPagesAreBegunAnewWhenRightsChange: what is opened before Reauthorize is not
// shown after it.
func TestPagesAreBegunAnewWhenRightsChange(t *testing.T) {
	s := resttest.NewStore(t, core.AuthorizerFunc(func(context.Context, core.Access) (core.Decision, error) { return core.Allow(), nil }), nil)
	opened := 0
	always := false
	ownPage(s, Conditions{Open: func(r *http.Request) ([]*core.Grant, error) {
		grants, err := openOwn(s)(r)
		if opened++; opened == 1 || always {
			_ = s.Reg.Reauthorize(r.Context())
		}
		return grants, err
	}}, true)
	want(t, do(t, s.Echo, "GET", "/page", "Principal", "ann"), 200)
	if opened != 2 {
		t.Errorf("opened %d times", opened)
	}
	always = true
	want(t, do(t, s.Echo, "GET", "/page", "Principal", "ann"), 503)
	if n := inUse(s); n != 0 {
		t.Errorf("%d members are still in use", n)
	}
}
