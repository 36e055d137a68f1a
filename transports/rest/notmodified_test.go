package rest

import (
	"io"
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
)

// The public doors lead to the room that the tests of 304 are in: each answers with
// the transport's default headers, and 304 to its own tag.
func TestOwnHandlers(t *testing.T) {
	s := newStore(t, nil, Config{})
	v, _ := s.Reg.Lookup("records")
	render := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown := "everybody's"
		if g := Granted(r.Context(), "of"); g != nil {
			shown = g.View().Params().String()
		}
		_, _ = io.WriteString(w, shown)
	})
	asEcho := func(m echo.MiddlewareFunc) http.Handler {
		e := echo.New()
		e.GET("/", echo.WrapHandler(render), m)
		return e
	}
	own := Conditions{Open: func(r *http.Request) ([]*core.Grant, error) {
		g, err := s.Reg.Open(r.Context(), "of", core.Args{"owner": "ann"})
		return []*core.Grant{g}, err
	}}
	for _, c := range []struct {
		name                string
		h                   http.Handler
		cacheControl, shown string
	}{
		{"NotModified", asEcho(NotModified(v)), DefaultCacheControl, "everybody's"},
		{"Conditional", Conditional(render, v), DefaultCacheControl, "everybody's"},
		{"Middleware", asEcho(own.Middleware()), "private, " + DefaultCacheControl, "owner=ann"},
		{"Handler", own.Handler(render), "private, " + DefaultCacheControl, "owner=ann"},
	} {
		res := do(t, c.h, "GET", "/")
		want(t, res, http.StatusOK)
		if got := body(t, res); got != c.shown || res.Header.Get("Cache-Control") != c.cacheControl {
			t.Errorf("%s: %q with %v", c.name, got, res.Header)
		}
		want(t, do(t, c.h, "GET", "/", "If-None-Match", res.Header.Get("ETag")), http.StatusNotModified)
	}
}
