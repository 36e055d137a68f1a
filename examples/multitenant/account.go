package main

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
)

// signIn begins a session. A name that nobody has is answered as a wrong
// password is, and takes as long.
func (a *app) signIn(c echo.Context) error {
	var given struct{ Name, Password string }
	if err := c.Bind(&given); err != nil {
		return err
	}
	person, known := a.people.Get(driver.KeyOf(given.Name))
	hash := person.Password
	if !known {
		hash = a.anybodysHash()
	}
	right, err := a.hashing.check(c.Request().Context(), hash, given.Password)
	if err != nil {
		return err
	}
	if !known || !right {
		return echo.NewHTTPError(http.StatusUnauthorized, "the name or the password is wrong")
	}
	if before := sessionOf(c.Request().Context()); before != "" {
		a.sessions.end(before)
		if err := a.reauthorize(c.Request().Context()); err != nil {
			return err
		}
	}
	setCookie(c, a.sessions.begin(person.Name), sessionLife)
	return c.JSON(http.StatusOK, person)
}

// anybodysHash returns a hash to try passwords on that nobody has.
func (a *app) anybodysHash() string {
	for p := range a.people.All() {
		return p.Password
	}
	return ""
}

// whoAmI answers with the person who is signed in.
func (a *app) whoAmI(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	name, ok := a.sessions.person(sessionOf(c.Request().Context()))
	person, known := a.people.Get(driver.KeyOf(name))
	if !ok || !known {
		return refusal(c, &core.DeniedError{Challenge: challenge})
	}
	return c.JSON(http.StatusOK, person)
}

// signOut ends the session, and with it all that was opened in it, before it
// answers.
func (a *app) signOut(c echo.Context) error {
	a.sessions.end(sessionOf(c.Request().Context()))
	setCookie(c, "", -1)
	if err := a.reauthorize(c.Request().Context()); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// suspend withdraws all rights of a person, or gives them back. When it has
// answered, they see nothing more of what is written.
//
// It is no write through Bindery, but one of the application's own, and so asks
// the authorizer by itself what the asking person may change.
func (a *app) suspend(suspended bool) echo.HandlerFunc {
	return func(c echo.Context) error {
		ctx := c.Request().Context()
		grant, err := a.registry.Open(ctx, "people", nil)
		if err != nil {
			return refusal(c, err)
		}
		defer grant.Close()
		name, key := c.Param("name"), driver.KeyOf(c.Param("name"))
		if me, _ := a.sessions.person(sessionOf(ctx)); me == name {
			return echo.NewHTTPError(http.StatusUnprocessableEntity, "you may not suspend yourself")
		}
		// Those of other companies are not there, as for everything else.
		select {
		case <-grant.View().Loaded():
		case <-ctx.Done():
			return ctx.Err()
		}
		if _, ok := grant.View().Snapshot().Get(key); !ok {
			return echo.NewHTTPError(http.StatusNotFound, "there is nobody of this name")
		}
		_, err = a.db.NewUpdate().Model((*Person)(nil)).
			Set("suspended = ?", suspended).Where("name = ?", name).Exec(ctx)
		if err != nil {
			return fmt.Errorf("multitenant: suspending %q: %w", name, err)
		}
		// The authorizer reads rights from a binding: it must show them first.
		if err := a.registry.Flush(ctx); err != nil {
			return err
		}
		if err := a.reauthorize(ctx); err != nil {
			return err
		}
		return c.NoContent(http.StatusNoContent)
	}
}

// refusal is what a handler answers when it is not given a binding.
func refusal(c echo.Context, err error) error {
	var denied *core.DeniedError
	switch {
	case !errors.As(err, &denied):
		return echo.NewHTTPError(http.StatusServiceUnavailable, "it cannot be told now whether you may").SetInternal(err)
	case denied.Challenge != "":
		c.Response().Header().Set("WWW-Authenticate", denied.Challenge)
		return echo.NewHTTPError(http.StatusUnauthorized, "nobody is signed in")
	default:
		return echo.NewHTTPError(http.StatusForbidden, "you may not do that")
	}
}

// setCookie gives the session to the browser; a negative life takes it away.
// Scripts do not see it, and no other site has it sent.
func setCookie(c echo.Context, token string, life time.Duration) {
	c.SetCookie(&http.Cookie{
		Name: cookieName, Value: token, Path: "/", MaxAge: int(life.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: c.Scheme() == "https",
	})
}
