package websocket

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	gorilla "github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/transports/internal/problem"
)

// Pages cannot give a handshake headers of their own, but they can name
// subprotocols (RFC 6455, section 1.9). A client with a token offers two:
//
//	Sec-WebSocket-Protocol: bindery, bindery.bearer.<token in base64url>
//
// The answer selects the first. It never repeats the token, which logs of
// answers would show.
const (
	subprotocol  = "bindery"
	bearerPrefix = subprotocol + ".bearer."
)

// bearerChallenge is what RFC 6750, section 3, answers a bad token with.
const bearerChallenge = `Bearer error="invalid_token"`

var (
	errManyTokens    = errors.New("more than one token is offered as a subprotocol")
	errMalformed     = errors.New("the token in the subprotocol is not base64url without padding")
	errNoSubprotocol = errors.New(`a token is offered as a subprotocol, but not "` + subprotocol + `" beside it, which the answer would select`)
)

// BearerHeader is middleware for applications with their own authentication. It moves the
// token that a handshake offers as a subprotocol to the request's Authorization header.
// Install it in front of the middleware that reads that header:
//
//	g := e.Group("/ws", websocket.BearerHeader, echojwt.WithConfig(…))
//
// A request that has the header already keeps it. BearerHeader leaves a subprotocol
// without a readable token to the transport, which refuses it.
func BearerHeader(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		moveToken(c.Request())
		return next(c)
	}
}

// moveToken moves the token from the subprotocols to Authorization.
func moveToken(r *http.Request) {
	token, err := offeredToken(r)
	if err != nil || token == "" {
		return
	}
	kept := slices.DeleteFunc(gorilla.Subprotocols(r), func(p string) bool { return strings.HasPrefix(p, bearerPrefix) })
	r.Header.Set("Sec-WebSocket-Protocol", strings.Join(kept, ", "))
	if r.Header.Get("Authorization") == "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
}

// offeredToken returns the token among the subprotocols, "" where there is none.
func offeredToken(r *http.Request) (string, error) {
	offered := gorilla.Subprotocols(r)
	var token string
	for _, p := range offered {
		text, ok := strings.CutPrefix(p, bearerPrefix)
		if !ok {
			continue
		}
		if token != "" {
			return "", errManyTokens
		}
		b, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || len(b) == 0 || strings.ContainsFunc(string(b), func(c rune) bool { return c < ' ' || c > '~' }) {
			return "", errMalformed
		}
		token = string(b)
	}
	if token != "" && !slices.Contains(offered, subprotocol) {
		return "", errNoSubprotocol
	}
	return token, nil
}

// authenticate asks Config.Bearer for the user of the request's token, in a subprotocol
// or in the header, and returns the request with the context that Bearer returns. It logs
// refusals for the operator; the client is not told the reason.
func (t *Transport) authenticate(r *http.Request) (*http.Request, *problem.Problem) {
	if _, err := offeredToken(r); err != nil {
		return nil, problem.BadHandshake(http.StatusBadRequest, err.Error())
	}
	if t.cfg.Bearer == nil {
		return r, nil
	}
	moveToken(r)
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
		return r, nil
	}
	ctx, err := t.cfg.Bearer(r, token)
	if err != nil {
		t.server.Registry.Logger().Debug("websocket: refused a bearer token", slog.String("id", "websocket-refused-token"), slog.String("remote", r.RemoteAddr), slog.Any("err", err))
		return nil, problem.Unauthorized(bearerChallenge)
	}
	return r.WithContext(ctx), nil
}
