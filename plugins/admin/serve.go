package admin

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// serve returns the handler of everything under the group. It dispatches by hand, so
// that every request without a credential gets 401, and names with encoded slashes
// arrive whole.
func (p *Plugin) serve(files map[string]pageFile) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer") // the first address may hold the token
		h.Set("Cache-Control", "no-store")
		r, path := c.Request(), segments(c)
		if !p.guard.serves(r) {
			return wrongHost(r.Host).write(c)
		}
		by := p.guard.admits(r)
		if by == nothing || by == byRefused {
			if safe(r.Method) && len(path) == 1 && path[0] == "" {
				return writeLogin(c, by == byRefused)
			}
			detail := "bring the token as Authorization: Bearer"
			if by == byRefused {
				detail = "the token is wrong"
			}
			return unauthorized(detail).write(c)
		}
		if !safe(r.Method) && (by == byCookie || by == byMiddle) && !ownOrigin(r) {
			return crossOrigin().write(c)
		}
		if by == byQuery && safe(r.Method) {
			p.guard.keep(c.Response(), r)
		}
		if r.Method == http.MethodOptions {
			return options(c, path)
		}
		if path[0] == "api" {
			return p.api(c, path[1:])
		}
		if !safe(r.Method) {
			return methodNotAllowed(c, "GET, HEAD").write(c)
		}
		if by == byQuery && path[0] == "" { // the token must not stay in the address
			if fromElsewhere(r) {
				return writeLanding(c)
			}
			h.Set("Location", "./")
			return c.NoContent(http.StatusSeeOther)
		}
		if f, ok := files[strings.Join(path, "/")]; ok {
			return f.write(c)
		}
		return notFound("the admin has no page " + quote(strings.Join(path, "/"))).write(c)
	}
}

// options answers OPTIONS (RFC 9110, 9.3.7). It allows no other origin anything.
func options(c echo.Context, path []string) error {
	allow := "GET, HEAD, OPTIONS"
	if len(path) == 4 && path[0] == "api" && path[1] == "bindings" && slices.Contains(verbs, path[3]) {
		allow = "POST, OPTIONS"
	}
	c.Response().Header().Set("Allow", allow)
	return c.NoContent(http.StatusNoContent)
}

// segments returns the decoded parts of the path under the group, at least one.
// Echo matches URL.RawPath when there is one; the parts are encoded then.
func segments(c echo.Context) []string {
	parts := strings.Split(strings.TrimPrefix(c.Param("*"), "/"), "/")
	if c.Request().URL.RawPath != "" {
		for i, part := range parts {
			if plain, err := url.PathUnescape(part); err == nil {
				parts[i] = plain
			}
		}
	}
	return parts
}

// api serves what is under api/.
func (p *Plugin) api(c echo.Context, path []string) error {
	one := func(name string) bool { return len(path) == 1 && path[0] == name }
	read := safe(c.Request().Method)
	switch {
	case one("status"), one("bindings"), one("stream"):
		if !read {
			return methodNotAllowed(c, "GET, HEAD").write(c)
		}
		switch path[0] {
		case "status":
			return writeJSON(c, p.status())
		case "bindings":
			return writeJSON(c, p.status().Bindings)
		}
		return p.stream(c)
	case len(path) == 3 && path[0] == "bindings" && path[2] == "explain":
		if !read {
			return methodNotAllowed(c, "GET, HEAD").write(c)
		}
		return p.explain(c, path[1])
	case len(path) == 3 && path[0] == "bindings" && slices.Contains(verbs, path[2]):
		if c.Request().Method != http.MethodPost {
			return methodNotAllowed(c, "POST").write(c)
		}
		return p.operate(c, path[1], path[2])
	case len(path) == 3 && path[0] == "bindings":
		return notFound("nothing is called "+quote(path[2])+"; there are: bump, clear, sync, verify (POST), explain (GET)", append(slices.Clone(verbs), "explain")...).write(c)
	}
	return notFound("the API has no "+quote(strings.Join(path, "/"))+"; there are: status, bindings, stream, bindings/NAME/{bump,clear,sync,verify,explain}", "status", "bindings", "stream").write(c)
}

func writeJSON(c echo.Context, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return c.Blob(http.StatusOK, "application/json", append(b, '\n'))
}
