package main

import (
	"context"
	"crypto/rand"
	"net/http"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	echojwt "github.com/labstack/echo-jwt/v4"
	"github.com/labstack/echo/v4"
)

// region who

// who asks: the staff by a session, partners by a token.
type who struct {
	session string    // "" for partners
	partner string    // "" for the staff
	until   time.Time // when the partner's token expires
}

type whoKey struct{}

func withWho(r *http.Request, w who) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), whoKey{}, w))
}

// endregion

// region session

// bySession is the middleware that the application had, and one line more.
func (a *app) bySession(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		cookie, err := c.Cookie("session")
		if err != nil || a.sessions.name(cookie.Value) == "" {
			return echo.NewHTTPError(http.StatusUnauthorized, "sign in")
		}
		c.Set("user", a.sessions.name(cookie.Value))                   // for the application's handlers
		c.SetRequest(withWho(c.Request(), who{session: cookie.Value})) // for the authorizer
		return next(c)
	}
}

// endregion

// region jwt

// byToken is echo-jwt, and a function that hands on what it has found.
func (a *app) byToken() echo.MiddlewareFunc {
	return echojwt.WithConfig(echojwt.Config{
		SigningKey: a.tokenKey,
		SuccessHandler: func(c echo.Context) {
			claims := c.Get("user").(*jwt.Token).Claims
			partner, _ := claims.GetSubject()
			w := who{partner: partner}
			if expires, _ := claims.GetExpirationTime(); expires != nil {
				w.until = expires.Time
			}
			c.SetRequest(withWho(c.Request(), w))
		},
	})
}

// endregion

// region identify

// identify lets in whom either of them knows.
func (a *app) identify() echo.MiddlewareFunc {
	byToken := a.byToken()
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		withToken, withSession := byToken(next), a.bySession(next)
		return func(c echo.Context) error {
			if c.Request().Header.Get("Authorization") != "" {
				return withToken(c)
			}
			return withSession(c)
		}
	}
}

// endregion

// sessions are in memory; a real application has them in a database or in Redis.
type sessions struct {
	mu    sync.Mutex // guards names
	names map[string]string
}

func newSessions() *sessions { return &sessions{names: map[string]string{}} }

// name returns who has the session, "" for nobody.
func (s *sessions) name(token string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names[token]
}

func (s *sessions) begin(name string) string {
	token := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[token] = name
	return token
}

func (s *sessions) end(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.names, token)
}

// login takes anybody's word: passwords are not what this example is about.
func (a *app) login(c echo.Context) error {
	name := c.FormValue("name")
	if name == "" {
		return echo.NewHTTPError(http.StatusBadRequest, "who are you?")
	}
	c.SetCookie(&http.Cookie{
		Name: "session", Value: a.sessions.begin(name), Path: "/",
		HttpOnly: true, Secure: true, SameSite: http.SameSiteStrictMode,
	})
	return c.NoContent(http.StatusNoContent)
}
