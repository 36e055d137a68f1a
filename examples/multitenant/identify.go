package main

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
)

// cookieName is the cookie that holds the session.
const cookieName = "session"

// identify is Echo's own middleware: it finds the session in the cookie and puts
// it into the request's context, where the authorizer looks for it.
//
// Who has none is let through, as nobody in particular. The authorizer refuses
// them, and every transport tells so in its own words; a page cannot see why a
// WebSocket did not open, but it can read a message on one that did.
func (a *app) identify() echo.MiddlewareFunc {
	return middleware.KeyAuthWithConfig(middleware.KeyAuthConfig{
		KeyLookup: "cookie:" + cookieName,
		Validator: func(token string, c echo.Context) (bool, error) {
			if _, ok := a.sessions.person(token); !ok {
				return false, nil
			}
			r := c.Request()
			c.SetRequest(r.WithContext(withSession(r.Context(), token)))
			return true, nil
		},
		ErrorHandler:           func(error, echo.Context) error { return nil },
		ContinueOnIgnoredError: true,
	})
}

type sessionKey struct{}

// withSession returns a context that belongs to the session.
func withSession(ctx context.Context, token string) context.Context {
	return context.WithValue(ctx, sessionKey{}, token)
}

// sessionOf returns the session to which the context belongs, "" for none.
func sessionOf(ctx context.Context) string {
	token, _ := ctx.Value(sessionKey{}).(string)
	return token
}

// sameOrigin refuses writes that pages of other origins have a browser send.
// The cookie is SameSite=Strict, which already keeps it out of those; but
// another port of this host is the same site, and a login needs no cookie.
func sameOrigin() echo.MiddlewareFunc {
	check := http.NewCrossOriginProtection()
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if err := check.Check(c.Request()); err != nil {
				return echo.NewHTTPError(http.StatusForbidden, "requests of other origins may not write").SetInternal(err)
			}
			return next(c)
		}
	}
}
