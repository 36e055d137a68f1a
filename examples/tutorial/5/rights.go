package main

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"sync"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/filter"
)

// region authorize

// authorize says who may do what, whatever transport asks.
func (k *kitchen) authorize(ctx context.Context, a core.Access) (core.Decision, error) {
	if a.Binding == "table" && a.Action == core.ActionRead {
		return core.Allow(), nil // guests need not sign in
	}
	if k.staff.Snapshot() == nil {
		return core.Deny(), errors.New("it is not known yet who works here") // an error is no decision: clients try again
	}
	person, known := k.staff.Get(k.sessions.name(sessionOf(ctx)))
	switch {
	case !known:
		return core.Unauthenticated(`Cookie realm="kitchen"`), nil
	case a.Binding == "waiting" && person.Cook:
		return core.Allow(), nil
	case a.Binding == "waiting" && (a.Action == core.ActionRead || a.Action == core.ActionInsert):
		return core.AllowWhere(filter.Eq("waiter", person.Name)), nil
	}
	return core.Deny(), nil
}

// endregion

// region session
type sessionKey struct{}

func sessionOf(ctx context.Context) string {
	token, _ := ctx.Value(sessionKey{}).(string)
	return token
}

// identify puts the session into the request's context, for the authorizer.
func (k *kitchen) identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if cookie, err := c.Cookie("session"); err == nil {
			r := c.Request()
			c.SetRequest(r.WithContext(context.WithValue(r.Context(), sessionKey{}, cookie.Value)))
		}
		return next(c)
	}
}

// endregion

// sessions are who has signed in.
type sessions struct {
	mu    sync.Mutex // guards names
	names map[string]string
}

func (s *sessions) name(token string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names[token]
}

// signIn believes everybody: passwords are another tutorial's subject.
func (k *kitchen) signIn(c echo.Context) error {
	name := c.FormValue("name")
	if _, known := k.staff.Get(name); !known {
		return echo.ErrUnauthorized
	}
	token := rand.Text()
	k.sessions.mu.Lock()
	k.sessions.names[token] = name
	k.sessions.mu.Unlock()
	c.SetCookie(&http.Cookie{Name: "session", Value: token, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
	return c.NoContent(http.StatusNoContent)
}

func (k *kitchen) signOut(c echo.Context) error {
	k.sessions.mu.Lock()
	delete(k.sessions.names, sessionOf(c.Request().Context()))
	k.sessions.mu.Unlock()
	if err := k.registry.Reauthorize(c.Request().Context()); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
