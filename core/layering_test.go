package core_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/binderyhq/bindery/"

// coreMayImport are the packages outside of the standard library that core is
// allowed to build on: small ones, without dependencies worth the name.
var coreMayImport = []string{"github.com/tidwall/btree", "github.com/zeebo/xxh3"}

// testOnly are modules that no shipped package may import.
var testOnly = []string{
	"pgregory.net/rapid", "go.uber.org/goleak", "github.com/tmaxmax/go-sse",
	"github.com/Shopify/toxiproxy", "github.com/chromedp/", "go.yaml.in/yaml", "github.com/VictoriaMetrics/", "testing",
}

// mayImportTesting are packages that exist for tests.
var mayImportTesting = []string{"sources/sourcetest", "transports/transporttest", "transports/clienttest", "core/coretest", "core/wire/wiretest", "transports/rest/internal/resttest", "transports/internal/harness"}

type goPackage struct {
	ImportPath string
	Imports    []string
}

// TestLayering holds the rule that imports point downwards only: examples to
// plugins, transports and sources, and these to core; and that siblings do not
// import each other.
func TestLayering(t *testing.T) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	seen := map[string]bool{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, module)
		room, _, _ := strings.Cut(name, "/")
		seen[room] = true
		for _, imp := range p.Imports {
			if why := forbidden(name, room, imp); why != "" {
				t.Errorf("%s imports %s: %s", name, imp, why)
			}
		}
	}
	for _, room := range []string{"core", "sources", "transports", "examples"} {
		if !seen[room] {
			t.Errorf("no packages in %s were seen", room)
		}
	}
}

// level orders the rooms: an import leads to a lower one.
var level = map[string]int{"core": 0, "sources": 1, "transports": 1, "plugins": 1, "examples": 2}

// tower orders the packages of core: one imports only those that stand before it.
// Those that are not in it are as high as core.
var tower = []string{
	"core/internal/signal", "core/internal/lease", "core/internal/marks", "core/internal/budget", "core/internal/digest",
	"core/value", "core/filter", "core/driver", "core/live", "core/wire", "core/client", "core/status",
	"core/internal/untyped", "core/internal/lifecycle", "core/internal/authorizing", "core/internal/onchange",
	"core/internal/rowset", "core/internal/arguments", "core/internal/assembly", "core/internal/index", "core/internal/backlog", "core/internal/badrows", "core/internal/changelog",
	"core/internal/concern", "core/internal/audit", "core/internal/compare",
	"core/internal/onerow", "core/internal/writing", "core/internal/feed", "core/internal/engine", "core/internal/upkeep", "core/internal/replication",
}

// above reports whether the import leads upwards within core.
func above(name, own string) bool {
	mine, theirs := slices.Index(tower, name), slices.Index(tower, own)
	return mine >= 0 && (theirs < 0 || theirs >= mine)
}

// inner orders the packages inside sources in the same way: of them, one imports
// only those that stand before it.
var inner = []string{
	"sources/internal/sqltext", "sources/internal/sqlitefile", "sources/internal/sqlitelog", "sources/internal/rowlog", "sources/internal/fanout", "sources/internal/wrapdriver",
	"sources/internal/sqlitehooks", "sources/bunsource/internal/keyproof", "sources/bunsource/internal/commits", "sources/bunsource/internal/hooks",
	"sources/bunsource/internal/dberror", "sources/bunsource/internal/exact", "sources/bunsource/internal/model", "sources/bunsource/internal/sqlgen",
	"sources/bunsource/internal/readtables",
}

// insideRest orders the packages inside transports/rest in the same way.
var insideRest = []string{
	"transports/rest/internal/coding", "transports/rest/internal/paging", "transports/rest/internal/prefix", "transports/rest/internal/hold",
	"transports/rest/internal/precondition", "transports/rest/internal/content", "transports/rest/internal/request", "transports/rest/internal/exchange",
	"transports/rest/internal/access", "transports/rest/internal/reading", "transports/rest/internal/writing", "transports/rest/internal/notmodified",
}

// upInside reports whether the import leads upwards inside sources, or inside rest.
func upInside(name, own string) bool {
	return upIn(inner, "sources/", name, own) || upIn(insideRest, "transports/rest", name, own)
}

// upIn reports whether the import leads upwards in the order, or out of it to another
// package below the folder.
func upIn(order []string, folder, name, own string) bool {
	mine, theirs := slices.Index(order, name), slices.Index(order, own)
	return mine >= 0 && strings.HasPrefix(own, folder) && (theirs < 0 || theirs >= mine)
}

func forbidden(name, room, imp string) string {
	own, ours := strings.CutPrefix(imp, module)
	if !ours {
		third := strings.Contains(strings.SplitN(imp, "/", 2)[0], ".")
		forTests := slices.ContainsFunc(mayImportTesting, func(p string) bool { return strings.HasPrefix(name, p) })
		switch {
		case room == "core" && third && !slices.Contains(coreMayImport, imp):
			return "core builds on the standard library and a few small packages"
		case !forTests && slices.ContainsFunc(testOnly, func(p string) bool {
			return imp == strings.TrimSuffix(p, "/") || strings.HasPrefix(imp, strings.TrimSuffix(p, "/")+"/") && p != "testing"
		}):
			return "it is for tests"
		}
		return ""
	}
	target, rest, _ := strings.Cut(own, "/")
	switch {
	case name == "sources/internal/sqltext":
		return "it knows SQL text alone"
	case level[target] > level[room], room == "core" && above(name, own), upInside(name, own):
		return "the arrow points upwards"
	case target == room && (room == "sources" || room == "transports" || room == "plugins"):
		mine, _, _ := strings.Cut(strings.TrimPrefix(name, room+"/"), "/")
		theirs, _, _ := strings.Cut(rest, "/")
		// What tests of a room share may use the room's suite.
		suite := strings.HasSuffix(theirs, "test") && slices.Contains(mayImportTesting, name)
		if mine != theirs && theirs != "internal" && !suite {
			return "siblings do not import each other"
		}
	case target != room && level[target] == level[room]:
		return "rooms of one level do not import each other"
	case room == "core" && strings.HasPrefix(own, "core/coretest") && name != "core/wire/wiretest":
		return "it is for tests"
	}
	return ""
}

// TestForbidden tries the rule itself.
func TestForbidden(t *testing.T) {
	for _, c := range []struct {
		name, imp string
		bad       bool
	}{
		{"core", "github.com/uptrace/bun", true},
		{"core", "github.com/tidwall/btree", false},
		{"core", module + "sources/bunsource", true},
		{"core/filter", module + "core/value", false},
		{"core/live", module + "core/driver", false},
		{"core/live", module + "core/status", true},
		{"core/live", module + "core/internal/audit", true},
		{"core/internal/audit", module + "core/driver", false},
		{"core/internal/feed", module + "core/internal/engine", true},
		{"core/internal/engine", module + "core/internal/feed", false},
		{"core/internal/feed", module + "core", true},
		{"sources/pollsource", module + "sources/bunsource", true},
		{"sources/pollsource", module + "sources/internal/sqlname", false},
		{"sources/internal/sqltext", module + "core/driver", true},
		{"sources/internal/fanout", module + "core/driver", false},
		{"sources/internal/fanout", module + "sources/bunsource", true},
		{"sources/internal/wrapdriver", module + "sources/internal/sqlitehooks", true},
		{"sources/bunsource/internal/commits", module + "sources/internal/sqlitehooks", false},
		{"sources/bunsource/internal/keyproof", module + "sources/bunsource/internal/commits", true},
		{"sources/pollsource", module + "transports/rest", true},
		{"transports/rest", module + "core", false},
		{"transports/sse", module + "core/wire", false},
		{"sources/followsource", module + "core/wire", false},
		{"sources/followsource", module + "core/client", false},
		{"core/client", module + "transports/sse", true},
		{"core/client", module + "core", true},
		{"core/wire", module + "transports/rest", true},
		{"core/live", module + "core/wire", true},
		{"transports/sse", module + "transports/rest", true},
		{"transports/rest", module + "transports/rest/internal/reading", false},
		{"transports/rest/internal/reading", module + "transports/rest/internal/content", false},
		{"transports/rest/internal/content", module + "transports/rest/internal/reading", true},
		{"transports/rest/internal/reading", module + "transports/rest", true},
		{"transports/rest/internal/reading", module + "transports/internal/problem", false},
		{"transports/sse", "pgregory.net/rapid", true},
		{"sources/sourcetest/pgtest", "testing", false},
		{"sources/bunsource", "testing", true},
		{"plugins/metrics", "github.com/prometheus/client_golang/prometheus", false},
		{"plugins/metrics", module + "transports/internal/meter", true},
		{"plugins/admin", module + "plugins/jsclient", true},
		{"plugins/admin", module + "transports/sse", true},
		{"plugins/admin/cmd/bindery", module + "core/status", false},
		{"examples/storefront", module + "plugins/admin", false},
		{"examples/storefront", module + "transports/sse", false},
	} {
		room, _, _ := strings.Cut(c.name, "/")
		if got := forbidden(c.name, room, c.imp) != ""; got != c.bad {
			t.Errorf("%s importing %s: forbidden %v, want %v", c.name, c.imp, got, c.bad)
		}
	}
}
