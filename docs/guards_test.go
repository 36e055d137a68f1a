package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// guards are the tests, benchmarks and fuzzers of the module: the folders in which each
// name is declared.
func guards(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") && name != root):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(name))
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && guard.MatchString(f.Name.Name) {
				all[f.Name.Name] = append(all[f.Name.Name], filepath.ToSlash(dir))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var (
	guard = regexp.MustCompile(`\b(?:Test|Benchmark|Fuzz)[A-Z]\w*`)
	// guardsOf matches tests that a page says are a package's: `core`: `TestA`, `TestB`.
	guardsOf = regexp.MustCompile("`([a-z][a-z/]*)`: `?((?:Test|Benchmark|Fuzz)[A-Z]\\w*…?`?(?:,? (?:and )?`?(?:Test|Benchmark|Fuzz)[A-Z]\\w*…?`?)*)")
	// casesOf matches what a page says of a suite of named cases, to the end of the clause.
	casesOf  = regexp.MustCompile("`(sourcetest|transporttest)`(?:: |, which every transport passes: )([^;|).]*)")
	caseName = regexp.MustCompile(`"([^"]+)"`)
)

// TestGuards looks up every test that a page names as what guards a promise: it exists,
// in the package that the page says. The pages that tell of what was are left out.
func TestGuards(t *testing.T) {
	all := guards(t)
	found := 0
	for _, page := range pages(t) {
		if page == "docs/decisions.md" || page == "docs/CHANGELOG.md" {
			continue
		}
		text := fence.ReplaceAllString(string(read(t, page)), "")
		for _, at := range guard.FindAllStringIndex(text, -1) {
			found++
			if name := text[at[0]:at[1]]; len(lookUp(all, name, strings.HasPrefix(text[at[1]:], "…"))) == 0 {
				t.Errorf("%s names %s, which does not exist", page, name)
			}
		}
		for _, m := range guardsOf.FindAllStringSubmatch(text, -1) {
			for _, name := range strings.FieldsFunc(m[2], func(r rune) bool { return r == ',' || r == ' ' || r == '`' }) {
				if name == "and" {
					continue
				}
				begin, cut := strings.CutSuffix(name, "…")
				if dirs := lookUp(all, begin, cut); !anyEnds(dirs, m[1]) {
					t.Errorf("%s says that %s is a test of %s; it is one of %v", page, name, m[1], dirs)
				}
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d tests were found", found)
	}
}

// TestGuardingCases looks up the cases of the conformance suites that docs/guarantees.md
// names.
func TestGuardingCases(t *testing.T) {
	found := 0
	sources := map[string]string{}
	for suite, dir := range map[string]string{"sourcetest": "sources/sourcetest", "transporttest": "transports/transporttest"} {
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(dir), "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", dir, err)
		}
		for _, f := range files {
			rel, err := filepath.Rel(root, f)
			if err != nil {
				t.Fatal(err)
			}
			sources[suite] += string(read(t, rel))
		}
	}
	for _, m := range casesOf.FindAllStringSubmatch(string(read(t, "docs/guarantees.md")), -1) {
		for _, name := range caseName.FindAllStringSubmatch(m[2], -1) {
			found++
			if !strings.Contains(sources[m[1]], name[0]) {
				t.Errorf("%s has no case %s", m[1], name[0])
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d cases were found", found)
	}
}

// lookUp returns the folders with a test of that name, or with one that begins so.
func lookUp(all map[string][]string, name string, begins bool) (dirs []string) {
	if !begins {
		return all[name]
	}
	for other, in := range all {
		if strings.HasPrefix(other, name) {
			dirs = append(dirs, in...)
		}
	}
	return dirs
}

// anyEnds reports whether one of the folders goes by that name: as a path in the module,
// or as its last part.
func anyEnds(dirs []string, name string) bool {
	for _, dir := range dirs {
		if dir == name || path.Base(dir) == name || strings.HasSuffix(dir, "/"+name) || strings.HasPrefix(dir, name+"/") {
			return true
		}
	}
	return false
}
