package core_test

import (
	"bytes"
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// optional are the modules, or the beginnings of their paths, that come with a
// plugin, a source or a transport of their own, and with nothing else.
var optional = []string{
	"github.com/prometheus/", "go.opentelemetry.io/", "github.com/nats-io/",
	"github.com/jackc/", "github.com/gorilla/websocket", "github.com/olahol/melody",
}

// TestLinked builds a program with one binding and REST, and looks at what the
// linker has put into it: the build information lists the modules of all packages
// that are linked.
func TestLinked(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "minimal")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "./testdata/minimal").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(info.Deps, func(m *debug.Module) bool { return m.Path == "github.com/labstack/echo/v4" }) {
		t.Fatal("the build information does not list modules")
	}
	for _, m := range info.Deps {
		for _, path := range optional {
			if strings.HasPrefix(m.Path, path) {
				t.Errorf("it links %s", m.Path)
			}
		}
	}
	// expvar serves its variables by itself, at a path of the default mux.
	out, err := exec.Command("go", "list", "-deps", "./testdata/minimal").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range bytes.Fields(out) {
		if string(pkg) == "expvar" || string(pkg) == "net/http/pprof" {
			t.Errorf("it links %s", pkg)
		}
	}
	st, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a program with one binding and REST is %.1f MB, with %d modules", float64(st.Size())/1e6, len(info.Deps))
}
