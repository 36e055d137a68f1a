package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// packages are those whose names pages mention, by the name that they go by.
var packages = map[string]string{
	"core": "core", "live": "core/live", "driver": "core/driver", "filter": "core/filter", "status": "core/status", "coretest": "core/coretest",
	"bunsource": "sources/bunsource", "pollsource": "sources/pollsource", "pgsource": "sources/pgsource", "sqlitesource": "sources/sqlitesource",
	"natssource": "sources/natssource", "followsource": "sources/followsource", "sourcetest": "sources/sourcetest",
	"rest": "transports/rest", "sse": "transports/sse", "websocket": "transports/websocket", "socketio": "transports/socketio",
	"graceful": "transports/graceful", "transporttest": "transports/transporttest", "clienttest": "transports/clienttest",
	"admin": "plugins/admin", "metrics": "plugins/metrics", "jsclient": "plugins/jsclient", "health": "plugins/health", "warmstart": "plugins/warmstart",
	"client": "core/client",
}

// exported returns what a package declares: "Name", and "Name.Field" or
// "Name.Method".
func exported(t *testing.T, dir string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(dir), "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v", dir, err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				name := d.Name.Name
				if d.Recv != nil {
					name = receiver(d.Recv.List[0].Type) + "." + name
				}
				names[name] = true
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.ValueSpec:
						for _, n := range s.Names {
							names[n.Name] = true
						}
					case *ast.TypeSpec:
						names[s.Name.Name] = true
						for _, member := range members(s.Type) {
							names[s.Name.Name+"."+member] = true
						}
					}
				}
			}
		}
	}
	return names
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

func members(e ast.Expr) (names []string) {
	var list *ast.FieldList
	switch e := e.(type) {
	case *ast.StructType:
		list = e.Fields
	case *ast.InterfaceType:
		list = e.Methods
	default:
		return nil
	}
	for _, f := range list.List {
		for _, n := range f.Names {
			names = append(names, n.Name)
		}
	}
	return names
}

var (
	codeSpan = regexp.MustCompile("`[^`\n]+`")
	bare     = regexp.MustCompile(`^([A-Z]\w+)\.([A-Z]\w+)`)
	mention  = regexp.MustCompile(`(?:^|[^\w./"])([a-z]+)\.([A-Z]\w*)(?:(?:\{|\.)([A-Z]\w*)\b)?`)
)

// TestNames looks up every name of a package that a page mentions in `this type`
// or shows by indentation, and methods and fields of core's types without it. docs/decisions.md tells of what was.
func TestNames(t *testing.T) {
	known := map[string]map[string]bool{"core": exported(t, "core"), "live": exported(t, "core/live"), "status": exported(t, "core/status")}
	found := 0
	for _, page := range pages(t) {
		if page == "docs/decisions.md" {
			continue
		}
		text := fence.ReplaceAllString(string(read(t, page)), "")
		for _, span := range append(codeSpan.FindAllString(text, -1), display.FindAllString(text, -1)...) {
			if m := bare.FindStringSubmatch(strings.Trim(span, "`")); m != nil && known["core"][m[1]] && m[1] != "Config" {
				found++ // a method or field of a type of core's
				if !known["core"][m[0]] && !known["live"]["View."+m[2]] && !known["status"][m[0]] {
					t.Errorf("%s: there is no core.%s", page, m[0])
				}
			}
			for _, m := range mention.FindAllStringSubmatch(strings.Trim(span, "`"), -1) {
				dir, ours := packages[m[1]]
				if !ours {
					continue
				}
				if known[m[1]] == nil {
					if _, err := os.Stat(filepath.Join(root, dir)); err != nil {
						t.Fatal(err)
					}
					known[m[1]] = exported(t, dir)
				}
				if m[1] == "socketio" && strings.HasSuffix(m[2], "Client") {
					continue // Python's package of that name
				}
				found++
				name, member := m[2], m[3]
				if !known[m[1]][name] {
					t.Errorf("%s: there is no %s.%s", page, m[1], name)
				} else if member != "" && !known[m[1]][name+"."+member] {
					t.Errorf("%s: there is no %s.%s.%s", page, m[1], name, member)
				}
			}
		}
	}
	if found < 200 {
		t.Errorf("only %d names were found", found)
	}
}
