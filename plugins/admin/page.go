package admin

import (
	"embed"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/labstack/echo/v4"
)

//go:embed page
var embedded embed.FS

// pageFile is a file of the page.
type pageFile struct {
	kind string
	body []byte
}

// policy lets the page load its own files and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// kinds are the media types of the files, which must not depend on the system's tables.
var kinds = map[string]string{".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

// pageFiles returns the files by their path under the group, the page as "".
func pageFiles() (map[string]pageFile, error) {
	dir, err := fs.Sub(embedded, "page")
	if err != nil {
		return nil, err
	}
	files := make(map[string]pageFile)
	err = fs.WalkDir(dir, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := fs.ReadFile(dir, name)
		if err != nil {
			return err
		}
		kind := kinds[path.Ext(name)]
		if kind == "" {
			kind = mime.TypeByExtension(path.Ext(name))
		}
		if name == "index.html" {
			name = ""
		}
		files[name] = pageFile{kind: kind, body: body}
		return nil
	})
	return files, err
}

func (f pageFile) write(c echo.Context) error {
	c.Response().Header().Set("Content-Security-Policy", policy)
	c.Response().Header().Set("X-Frame-Options", "DENY")
	return c.Blob(http.StatusOK, f.kind, f.body)
}

// writeLogin answers a request without a valid token. A browser gets a form for the
// token, other clients a problem.
func writeLogin(c echo.Context, refused bool) error {
	detail := "bring the token as Authorization: Bearer, or open the page once with ?token="
	if refused {
		detail = "the token is wrong"
	}
	if !accepts(c.Request(), "text/html") {
		return unauthorized(detail).write(c)
	}
	h := c.Response().Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("WWW-Authenticate", `Bearer realm="bindery admin"`)
	text := "This page needs the admin token."
	if refused {
		text = "That token is wrong."
	}
	return c.HTML(http.StatusUnauthorized, `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">`+
		`<meta name="color-scheme" content="light dark"><title>Bindery admin</title><h1>Bindery admin</h1><p>`+text+
		`<form method="get" autocomplete="off"><label>Token <input name="token" type="password" required autofocus></label> <button>Open</button></form></html>`)
}

// writeLanding has a browser that came from elsewhere go on to the page by itself: then it
// sends the cookie along.
func writeLanding(c echo.Context) error {
	h := c.Response().Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "DENY")
	return c.HTML(http.StatusOK, `<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=./"><title>Bindery admin</title><p><a href="./">Go on</a></html>`)
}

// accepts reports whether the request names the media type. "*/*" does not count.
func accepts(r *http.Request, kind string) bool {
	for _, line := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(name), kind) {
				return true
			}
		}
	}
	return false
}
