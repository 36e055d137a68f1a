// Package web holds the storefront's page: plain HTML, CSS and ES modules that
// the browser runs as they are, without a build step and without anything from
// elsewhere.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed *.html *.css *.js
var files embed.FS

// contentTypes are set here, since the types that Go would choose depend on the
// machine's own tables.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
}

// policy lets the page load its own files and talk to its own server, and
// nothing else. 'self' covers ws and wss of the same host.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// asset is one file with its strong ETag.
type asset struct {
	contentType string
	etag        string
	body        []byte
}

// Handler serves the page at / and the files that it is made of beside it;
// whatever else is asked for is 404. Answers bear an ETag and are to be asked
// for again each time, which costs a 304: a page never runs with a script of
// another release. It keeps no state and may be used concurrently.
func Handler() http.Handler {
	assets := load()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		if name == "" {
			name = "index.html"
		}
		a, ok := assets[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		h := w.Header()
		h.Set("Content-Type", a.contentType)
		h.Set("ETag", a.etag)
		h.Set("Cache-Control", "no-cache")
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		// Embedded files have no time; the zero one leaves Last-Modified out.
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(a.body))
	})
}

// load reads the embedded files. It panics where one has no content type: that
// is found by the first test.
func load() map[string]asset {
	names, err := fs.Glob(files, "*")
	if err != nil {
		panic(fmt.Sprintf("web: listing the embedded files: %v", err))
	}
	assets := make(map[string]asset, len(names))
	for _, name := range names {
		body, err := files.ReadFile(name)
		if err != nil {
			panic(fmt.Sprintf("web: reading embedded file %q: %v", name, err))
		}
		contentType, ok := contentTypes[path.Ext(name)]
		if !ok {
			panic(fmt.Sprintf("web: embedded file %q: no content type", name))
		}
		sum := sha256.Sum256(body)
		assets[name] = asset{contentType, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`, body}
	}
	return assets
}
