package web

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, method, target, ifNoneMatch string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	if ifNoneMatch != "" {
		r.Header.Set("If-None-Match", ifNoneMatch)
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w.Result()
}

func TestHandler(t *testing.T) {
	page := get(t, "GET", "/", "")
	if page.StatusCode != 200 || page.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("GET /: got %s, %s", page.Status, page.Header.Get("Content-Type"))
	}
	if page.Header.Get("Content-Security-Policy") == "" {
		t.Error("GET /: no Content-Security-Policy")
	}
	etag := page.Header.Get("ETag")
	again := get(t, "GET", "/", etag)
	if again.StatusCode != 304 {
		t.Errorf("GET / with its ETag %s: got %s, want 304", etag, again.Status)
	}
	for _, tc := range []struct {
		method, target string
		want           int
	}{
		{"HEAD", "/", 200},
		{"GET", "/index.html", 200},
		{"GET", "/app.js", 200},
		{"GET", "/style.css", 200},
		{"POST", "/", 405},
		{"GET", "/web.go", 404},
		{"GET", "/../web.go", 404},
		{"GET", "/nothing", 404},
		{"POST", "/nothing", 404},
	} {
		if got := get(t, tc.method, tc.target, ""); got.StatusCode != tc.want {
			t.Errorf("%s %s: got %s, want %d", tc.method, tc.target, got.Status, tc.want)
		}
	}
}

// imports are the ways in which one of the files can name another.
var imports = regexp.MustCompile(`(?:from|import|src=|href=)\s*"([^"]+)"`)

// A page that names a file which is not there, or on another server, breaks in
// the browser only.
func TestFilesNameOnlyEachOther(t *testing.T) {
	assets := load()
	named := map[string]bool{"index.html": true}
	for name, a := range assets {
		if path.Ext(name) == ".css" {
			if strings.Contains(string(a.body), "url(") || strings.Contains(string(a.body), "@import") {
				t.Errorf("%s loads something", name)
			}
			continue
		}
		for _, m := range imports.FindAllStringSubmatch(string(a.body), -1) {
			target := strings.TrimPrefix(m[1], "./")
			switch {
			case strings.HasPrefix(target, "data:"), strings.HasPrefix(target, "#"), strings.HasPrefix(target, "/api/"):
			case target == "/client/bindery.js": // from plugins/jsclient
			case strings.HasPrefix(target, "https://github.com/"): // a link to follow, not to load
			default:
				if _, ok := assets[target]; !ok {
					t.Errorf("%s names %q, which is not served", name, m[1])
				}
				named[target] = true
			}
		}
	}
	for name := range assets {
		if !named[name] {
			t.Errorf("%s is served, and nothing names it", name)
		}
	}
}

// The Content-Security-Policy would refuse these silently.
func TestPageHasNothingInline(t *testing.T) {
	body, err := io.ReadAll(get(t, "GET", "/", "").Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<script>", "<style", " style=", " onclick=", " onload="} {
		if strings.Contains(string(body), bad) {
			t.Errorf("index.html contains %q", bad)
		}
	}
}
