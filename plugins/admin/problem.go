package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
)

// problem is an error as RFC 9457 describes it, with the types of the transports. Only
// operators see it, so details may quote the database.
type problem struct {
	Type   string   `json:"type"`
	Title  string   `json:"title"`
	Status int      `json:"status"`
	Detail string   `json:"detail,omitempty"`
	Known  []string `json:"known,omitempty"`
	// Bindings holds the outcomes of an operation on several bindings that failed for
	// some.
	Bindings []outcome `json:"bindings,omitempty"`
}

func (p *problem) write(c echo.Context) error {
	h := c.Response().Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="bindery admin"`)
	}
	if p.Status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "5")
	}
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	c.Response().WriteHeader(p.Status)
	if c.Request().Method == http.MethodHead {
		return nil
	}
	_, err = c.Response().Write(append(body, '\n'))
	return err
}

const urn = "urn:bindery:problem:"

func unauthorized(detail string) *problem {
	return &problem{Type: urn + "unauthorized", Title: "Not authenticated", Status: http.StatusUnauthorized, Detail: detail}
}

func crossOrigin() *problem {
	return &problem{
		Type: urn + "origin-refused", Title: "Origin refused", Status: http.StatusForbidden,
		Detail: "a request that changes something and brings a cookie must come from the admin's own page (Origin, or Sec-Fetch-Site: same-origin)",
	}
}

func wrongHost(host string) *problem {
	return &problem{
		Type: "urn:bindery:problem:wrong-host", Title: "Wrong host", Status: http.StatusMisdirectedRequest,
		Detail: "the admin is not served as " + quote(host),
	}
}

func unknownBinding(name string, known []string) *problem {
	return &problem{
		Type: urn + "unknown-binding", Title: "Unknown binding", Status: http.StatusNotFound,
		Detail: "no binding is called " + quote(name) + "; there are: " + list(known), Known: known,
	}
}

func notFound(detail string, known ...string) *problem {
	return &problem{Type: urn + "not-found", Title: "Not found", Status: http.StatusNotFound, Detail: detail, Known: known}
}

func badParameter(detail string) *problem {
	return &problem{Type: urn + "bad-parameter", Title: "Bad parameter", Status: http.StatusBadRequest, Detail: detail}
}

func methodNotAllowed(c echo.Context, allowed string) *problem {
	c.Response().Header().Set("Allow", allowed)
	return &problem{Type: urn + "method-not-allowed", Title: "Method not allowed", Status: http.StatusMethodNotAllowed, Detail: "allowed: " + allowed}
}

func unavailable(kind, title string, err error) *problem {
	return &problem{Type: urn + kind, Title: title, Status: http.StatusServiceUnavailable, Detail: err.Error()}
}

// problemOf translates an error of package core.
func (p *Plugin) problemOf(name string, err error) *problem {
	var own *problem
	var argument *core.ArgumentError
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &argument):
		return badParameter("parameter " + quote(argument.Param) + " of " + quote(argument.Binding) + " " + argument.Detail)
	case errors.Is(err, core.ErrUnknownBinding):
		return unknownBinding(name, p.names())
	case errors.Is(err, core.ErrNotStarted), errors.Is(err, live.ErrNotLoaded):
		return unavailable("not-loaded", "Not loaded yet", err)
	case errors.Is(err, live.ErrClosed):
		return unavailable("shutting-down", "Shutting down", err)
	case errors.Is(err, core.ErrBudget), errors.Is(err, core.ErrTooManyMembers):
		return unavailable("over-budget", "No room for another member", err)
	case errors.Is(err, context.DeadlineExceeded):
		return unavailable("unavailable", "Not done in time", err)
	}
	return unavailable("unavailable", "The database did not answer", err)
}

// Error implements error, so that a problem can be returned on the way.
func (p *problem) Error() string { return p.Title + ": " + p.Detail }

// longest bounds names that are repeated to the client.
const longest = 100

func quote(name string) string {
	if len(name) > longest {
		name = strings.ToValidUTF8(name[:longest], "") + "…"
	}
	return `"` + name + `"`
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
