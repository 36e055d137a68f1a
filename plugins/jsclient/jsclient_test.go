package jsclient_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest/installed"
	"github.com/binderyhq/bindery/plugins/jsclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// use starts a registry with the plugin alone.
func use(t *testing.T, p *jsclient.Plugin) error {
	t.Helper()
	reg := core.NewRegistry()
	_ = reg.Use(p)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	err := reg.Start(ctx)
	if err == nil {
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
			defer cancel()
			if err := reg.Shutdown(ctx); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		})
	}
	return err
}

func get(e http.Handler, method, url string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, url, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w
}

func TestFiles(t *testing.T) {
	e := echo.New()
	if err := use(t, jsclient.New(e.Group("/bindery"))); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"bindery.js":    `/client.js"`,
		"index.js":      `/client.js"`,
		"lib/client.js": "export function connect",
		"lib/store.js":  "export class Store",
		"bindery.d.ts":  "export function connect",
		"index.d.ts":    "export function connect",
		"tanstack.js":   "export function bindingCollectionOptions",
		"react.js":      "export function useBinding",
		"react.d.ts":    "export function useBinding",
	} {
		w := get(e, http.MethodGet, "/bindery/"+name)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: status %d, %d bytes", name, w.Code, w.Body.Len())
			continue
		}
		kind := "text/javascript; charset=utf-8"
		if path.Ext(name) == ".ts" {
			kind = "application/typescript; charset=utf-8"
		}
		etag := w.Header().Get("ETag")
		for field, want := range map[string]string{"Content-Type": kind, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"} {
			if got := w.Header().Get(field); got != want {
				t.Errorf("%s: %s: %q, want %q", name, field, got, want)
			}
		}
		if !regexp.MustCompile(`^"[\w-]{22}"$`).MatchString(etag) {
			t.Errorf("%s: ETag %s", name, etag)
		}
		if w := get(e, http.MethodGet, "/bindery/"+name, "If-None-Match", etag); w.Code != http.StatusNotModified || w.Body.Len() > 0 || w.Header().Get("ETag") != etag {
			t.Errorf("%s again: status %d, %d bytes, ETag %s", name, w.Code, w.Body.Len(), w.Header().Get("ETag"))
		}
		if h := get(e, http.MethodHead, "/bindery/"+name); h.Code != http.StatusOK || h.Body.Len() > 0 || h.Header().Get("Content-Length") != strconv.Itoa(w.Body.Len()) {
			t.Errorf("HEAD of %s: status %d, %d bytes, length %s", name, h.Code, h.Body.Len(), h.Header().Get("Content-Length"))
		}
	}
	for _, name := range []string{"", "package.json", "lib", "lib/", "lib/nothing.js", "npm/index.js", "test/world.js", "../jsclient.go"} {
		if w := get(e, http.MethodGet, "/bindery/"+name); w.Code != http.StatusNotFound {
			t.Errorf("%q: status %d", name, w.Code)
		}
	}
}

// TestRelease follows what the entry imports: modules that a browser keeps.
func TestRelease(t *testing.T) {
	e := echo.New()
	if err := use(t, jsclient.New(e.Group("/bindery"))); err != nil {
		t.Fatal(err)
	}
	entry := get(e, http.MethodGet, "/bindery/bindery.js").Body.String()
	names := imported.FindAllStringSubmatch(entry, -1)
	if len(names) < 20 {
		t.Fatalf("the entry imports %d modules", len(names))
	}
	folder := ""
	for _, m := range names {
		w := get(e, http.MethodGet, path.Join("/bindery", m[1]))
		if w.Code != http.StatusOK || w.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Errorf("%s: status %d, Cache-Control %q", m[1], w.Code, w.Header().Get("Cache-Control"))
		}
		folder = path.Dir(m[1])
	}
	if !regexp.MustCompile(`^lib-[\w-]{12}$`).MatchString(folder) {
		t.Errorf("the modules are in %s", folder)
	}
	// A page that has the entry of another release gets modules, and asks again.
	for target, want := range map[string]int{"lib-another/client.js": 200, "lib-another/nothing.js": 404, "lib-/../../jsclient.go": 404} {
		w := get(e, http.MethodGet, "/bindery/"+target)
		if w.Code != want || want == 200 && (w.Header().Get("Cache-Control") != "no-cache" || w.Header().Get("ETag") == "") {
			t.Errorf("%s: status %d, Cache-Control %q", target, w.Code, w.Header().Get("Cache-Control"))
		}
	}
	if kept := get(e, http.MethodGet, "/bindery/lib/client.js").Header().Get("Cache-Control"); kept != "no-cache" {
		t.Errorf("under the package's name: Cache-Control %q", kept)
	}
}

func TestConfig(t *testing.T) {
	e := echo.New()
	if err := use(t, jsclient.New(e.Group(""), jsclient.Config{CacheControl: "public, max-age=60"})); err != nil {
		t.Fatal(err)
	}
	if got := get(e, http.MethodGet, "/bindery.js").Header().Get("Cache-Control"); got != "public, max-age=60" {
		t.Errorf("Cache-Control: %q", got)
	}
	for want, p := range map[string]*jsclient.Plugin{
		"jsclient: the group is nil":                              jsclient.New(nil),
		`jsclient: config: CacheControl "a\nb" has more than one`: jsclient.New(e.Group(""), jsclient.Config{CacheControl: "a\nb"}),
	} {
		if err := use(t, p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Start: %v, want %s", err, want)
		}
	}
}

// imported finds what a module imports.
var imported = regexp.MustCompile(`(?m)(?:^(?:import|export|\}).*from |import\(|^import )"([^"]+)"`)

// TestPackage holds what makes the folder publishable: every file that it names
// is there, and the modules need no others.
func TestPackage(t *testing.T) {
	text, err := os.ReadFile("npm/package.json")
	if err != nil {
		t.Fatal(err)
	}
	var p struct {
		Main, Types, License string
		Files                []string
		Dependencies         map[string]string
		Exports              map[string]any
	}
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	if p.License != "BSD-2-Clause" || len(p.Dependencies) > 0 {
		t.Errorf("license %s, dependencies %v", p.License, p.Dependencies)
	}
	names := []string{p.Main, p.Types}
	for _, pattern := range p.Files {
		found, err := filepath.Glob(filepath.Join("npm", pattern))
		if err != nil || len(found) == 0 {
			t.Errorf("package.json: nothing matches %q (%v)", pattern, err)
		}
	}
	for _, e := range p.Exports {
		if m, ok := e.(map[string]any); ok {
			for _, name := range m {
				names = append(names, fmt.Sprint(name))
			}
		}
	}
	for _, name := range names {
		if _, err := os.Stat(path.Join("npm", name)); err != nil {
			t.Errorf("package.json: %v", err)
		}
	}
	modules, err := filepath.Glob("npm/lib/*.js")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(modules, "npm/"+p.Main) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range imported.FindAllSubmatch(text, -1) {
			target := filepath.Join(filepath.Dir(name), string(m[1]))
			if _, err := os.Stat(target); err != nil || !strings.HasPrefix(string(m[1]), "./") {
				t.Errorf("%s imports %s (%v)", name, m[1], err)
			}
		}
	}
	entry, err := os.ReadFile("npm/" + p.Main)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range modules {
		if name = strings.TrimPrefix(name, "npm/"); !strings.Contains(string(entry), `"./`+name+`"`) {
			t.Errorf("%s does not name %s: a browser would ask for it late", p.Main, name)
		}
	}
	ours, err := os.ReadFile("../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	if theirs, err := os.ReadFile("npm/LICENSE"); err != nil || string(theirs) != string(ours) {
		t.Errorf("npm/LICENSE is not the project's (%v)", err)
	}
}

// nodeBin returns where node is, 20 or later.
func nodeBin(t *testing.T) string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		installed.Missing(t, "no node: install it (apt-get install nodejs), 20 or later")
	}
	version, err := exec.CommandContext(t.Context(), node, "--version").Output()
	if err != nil {
		t.Fatalf("node --version: %v", err)
	}
	major, _, _ := strings.Cut(strings.TrimPrefix(string(version), "v"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < 20 {
		installed.Missing(t, "node is "+strings.TrimSpace(string(version))+": install 20 or later")
	}
	return node
}

// TestNode runs the client's own tests.
func TestNode(t *testing.T) {
	node := nodeBin(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "--test", "npm/test/")
	cmd.Env = append(os.Environ(), "NODE_OPTIONS=")
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("node --test: %v\n%s", err, out)
	}
	if ran := regexp.MustCompile(`(?m)^# pass ([1-9]\d*)$`).FindSubmatch(out); ran == nil {
		t.Fatalf("no test ran:\n%s", out)
	}
}
