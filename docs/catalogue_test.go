package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// program calls visit for each file of Go that is shipped: no tests, and none of
// the examples, whose log lines are theirs.
func program(t *testing.T, visit func(path string, fset *token.FileSet, file *ast.File)) {
	t.Helper()
	for _, room := range []string{"../core", "../sources", "../transports", "../plugins"} {
		err := filepath.WalkDir(room, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && (d.Name() == "testdata" || d.Name() == "node_modules"):
				return filepath.SkipDir
			case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			visit(path, fset, file)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// section returns the part of the catalogue under a heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	b, err := os.ReadFile("catalogue.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(b), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("the catalogue has no section %q", heading)
	}
	part, _, _ := strings.Cut(rest, "\n## ")
	return part
}

// rows returns the first cells of the section's tables, in order, without backquotes.
func rows(t *testing.T, heading string) (cells []string) {
	t.Helper()
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(section(t, heading), -1) {
		cells = append(cells, m[1])
	}
	return cells
}

// differ reports what is in one list and not in the other.
func differ(t *testing.T, what string, code map[string]string, catalogue []string) {
	t.Helper()
	for id, where := range code {
		if !slices.Contains(catalogue, id) {
			t.Errorf("%s: %s %q is not in catalogue.md", where, what, id)
		}
	}
	for i, id := range catalogue {
		if code[id] == "" {
			t.Errorf("catalogue.md has %s %q, which no code has", what, id)
		}
		if slices.Contains(catalogue[:i], id) {
			t.Errorf("catalogue.md has %s %q twice", what, id)
		}
	}
}

var levels = []string{"Debug", "Info", "Warn", "Error", "DebugContext", "InfoContext", "WarnContext", "ErrorContext", "Log", "LogAttrs"}

// TestLogIDs: every line of the log has an id, each id stands for one thing, and the
// catalogue explains all of them.
func TestLogIDs(t *testing.T) {
	ids := make(map[string]string)
	program(t, func(path string, fset *token.FileSet, file *ast.File) {
		if strings.HasPrefix(path, "../sources/sourcetest") || strings.HasPrefix(path, "../transports/transporttest") || strings.HasPrefix(path, "../transports/clienttest") {
			return
		}
		usesSlog := slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"log/slog"` })
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			where := fset.Position(call.Pos()).String()
			if id, ok := idOf(call); ok {
				if other := ids[id]; other != "" {
					t.Errorf("%s: the log id %q is that of %s too", where, id, other)
				}
				ids[id] = where
			}
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains(levels, sel.Sel.Name) && logs(call) {
				if !usesSlog || !hasID(call) {
					t.Errorf("%s: a line of the log without an id: slog.String(\"id\", …)", where)
				}
			}
			return true
		})
	})
	differ(t, "log id", ids, rows(t, "Log"))
}

// logs reports whether a call that is named as a logger's is one: it is given a
// message.
func logs(call *ast.CallExpr) bool {
	for _, arg := range call.Args {
		if sum, ok := arg.(*ast.BinaryExpr); ok {
			if arg = sum.X; sum.Op == token.ADD {
				if _, literal := arg.(*ast.BasicLit); !literal {
					arg = sum.Y
				}
			}
		}
		if lit, ok := arg.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			return len(call.Args) > 1 || strings.Contains(lit.Value, ": ")
		}
	}
	sel := call.Fun.(*ast.SelectorExpr)
	x, ok := sel.X.(*ast.SelectorExpr)
	return ok && x.Sel.Name == "Logger" // a message that is a variable
}

// idOf returns the id that slog.String("id", "…") gives.
func idOf(call *ast.CallExpr) (string, bool) {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != "String" || len(call.Args) != 2 {
		return "", false
	}
	if x, ok := sel.X.(*ast.Ident); !ok || x.Name != "slog" {
		return "", false
	}
	name, ok := text(call.Args[0])
	if !ok || name != "id" {
		return "", false
	}
	return text(call.Args[1])
}

// hasID reports whether an id, or a variable for one, is among the arguments.
func hasID(call *ast.CallExpr) (has bool) {
	ast.Inspect(call, func(n ast.Node) bool {
		if x, ok := n.(*ast.Ident); ok && x.Name == "id" {
			has = true
		}
		if c, ok := n.(*ast.CallExpr); ok && len(c.Args) == 2 {
			if name, ok := text(c.Args[0]); ok && name == "id" {
				has = true
			}
		}
		return !has
	})
	return has
}

func text(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

// TestProblemTypes: the catalogue has every type of problem that clients get.
func TestProblemTypes(t *testing.T) {
	types := make(map[string]string)
	program(t, func(path string, fset *token.FileSet, file *ast.File) {
		if strings.Contains(path, "clienttest") {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok {
				if s, ok := text(lit); ok && strings.HasPrefix(s, "urn:bindery:problem:") && s != "urn:bindery:problem:" {
					types[strings.TrimPrefix(s, "urn:bindery:problem:")] = fset.Position(lit.Pos()).String()
				}
			}
			return true
		})
	})
	differ(t, "problem type", types, rows(t, "Problem types"))
}

// closeCodes are the names of RFC 6455's codes.
var closeCodes = map[string]string{
	"CloseNormalClosure": "1000", "CloseGoingAway": "1001", "CloseProtocolError": "1002", "CloseUnsupportedData": "1003",
	"CloseInvalidFramePayloadData": "1007", "ClosePolicyViolation": "1008", "CloseMessageTooBig": "1009", "CloseInternalServerErr": "1011",
}

// TestCloseCodes: the catalogue has every code with which a WebSocket is closed.
func TestCloseCodes(t *testing.T) {
	codes := map[string]string{"1009": "gorilla/websocket, by its read limit"}
	program(t, func(path string, fset *token.FileSet, file *ast.File) {
		if path = filepath.ToSlash(path); !strings.HasPrefix(path, "../transports/") || strings.Contains(path, "/transporttest/") || strings.Contains(path, "/clienttest/") {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && closeCodes[sel.Sel.Name] != "" {
				codes[closeCodes[sel.Sel.Name]] = fset.Position(sel.Pos()).String()
			}
			return true
		})
	})
	differ(t, "close code", codes, rows(t, "WebSocket close codes"))
}

// checks are the files in which declarations are checked at the start, and the
// functions that do it, all where none is named.
var checks = map[string][]string{
	"../core/binding.go": nil, "../core/config.go": nil, "../core/options.go": nil, "../core/internal/assembly/check.go": nil,
	"../core/start.go": nil, "../core/tuning.go": nil, "../core/internal/rowset/encoder.go": nil, "../core/internal/rowset/shape.go": nil,
	"../core/internal/rowset/spec.go": nil, "../core/driver/table.go": {"Validate"}, "../core/registry.go": {"Add", "register"},
}

// notAtStart are errors of these files that no StartError holds.
var notAtStart = []string{"its family has not been checked", "a row of table … has NULL in key column …", "core.Columns is for rows that are JSON objects; use Serialize"}

// verbs are those of fmt.
var verbs = regexp.MustCompile(`%[a-zA-Z]`)

// TestStartErrors: the catalogue has every problem that a StartError may hold.
// Errors that end with another are about that.
func TestStartErrors(t *testing.T) {
	problems := make(map[string]string)
	program(t, func(path string, fset *token.FileSet, file *ast.File) {
		functions, ok := checks[filepath.ToSlash(path)]
		if !ok {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if fn, ok := n.(*ast.FuncDecl); ok && functions != nil && !slices.Contains(functions, fn.Name.Name) {
				return false
			}
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "Errorf" && sel.Sel.Name != "New" {
				return true
			}
			if s, ok := text(call.Args[0]); ok && !strings.HasSuffix(s, "%w") {
				if s = verbs.ReplaceAllString(strings.TrimPrefix(s, "core: "), "…"); !slices.Contains(notAtStart, s) {
					problems[s] = fset.Position(call.Pos()).String()
				}
			}
			return true
		})
	})
	catalogue := rows(t, "StartError")
	differ(t, "problem", problems, catalogue)
}
