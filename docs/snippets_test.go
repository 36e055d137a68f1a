package docs

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the top of the module, seen from here.
const root = ".."

var update = flag.Bool("update", false, "write regions of the examples into the pages that show them")

// A block of Go in a page stands behind a comment that says where it comes from:
//
//	<!-- code: examples/existing-app/open.go#connector -->
//	<!-- lines: examples/custom-source/main.go -->
//	<!-- code: examples/deploy/nginx.conf -->
//
// The first is the region of that name, to the letter but for its indentation.
// A file marks a region by "// region NAME" and "// endregion"; pieces of one
// name follow each other with an empty line between them. The second is an
// abridgement: its lines are in the file, in that order. The third is a whole file.
//
// Blocks in other languages may bear such a comment; Go has to.
var block = regexp.MustCompile("(?m)^(?:<!-- (code|lines): (\\S+) -->\n)?([ \t]*)```(\\w+)\n((?s:.*?))^[ \t]*```$")

// pages returns the paths of all Markdown files, relative to the root.
func pages(t testing.TB) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(name, ".md") {
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			found = append(found, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestBlocks holds every block of Go in every page to code that is compiled and
// tested, and blocks in other languages that say where they come from. With
// -update it writes the code into the pages instead.
func TestBlocks(t *testing.T) {
	blocks := 0
	for _, page := range pages(t) {
		text := read(t, page)
		now := block.ReplaceAllFunc(text, func(whole []byte) []byte {
			m := block.FindSubmatch(whole)
			kind, from, indent, language, code := string(m[1]), string(m[2]), string(m[3]), string(m[4]), string(m[5])
			line := bytes.Count(text[:bytes.Index(text, whole)], []byte("\n")) + 1
			if kind != "" {
				blocks++
			}
			switch kind {
			case "":
				if language != "go" {
					break
				}
				t.Errorf("%s:%d: a block of Go does not say which code it shows", page, line)
			case "lines":
				if missing := notInOrder(code, string(read(t, from))); missing != "" {
					t.Errorf("%s:%d: %s does not have this line here: %s", page, line, from, missing)
				}
			case "code":
				path, name, _ := strings.Cut(from, "#")
				want, err := region(string(read(t, path)), name)
				if name == "" {
					want, err = dedent(string(read(t, path))), nil
				}
				if err != nil {
					t.Errorf("%s:%d: %s: %v", page, line, path, err)
				} else if dedent(code) != want {
					if *update {
						return []byte("<!-- code: " + from + " -->\n" + indent + "```" + language + "\n" + prefixed(indent, want) + indent + "```")
					}
					t.Errorf("%s:%d: %s has changed; run go test ./docs -update\nit is\n%s\nthe page has\n%s", page, line, from, want, code)
				}
			}
			return whole
		})
		if *update && !bytes.Equal(now, text) {
			if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(page)), now, 0o644); err != nil {
				t.Fatal(err)
			}
			t.Logf("%s is up to date now", page)
		}
	}
	if blocks < 20 {
		t.Errorf("only %d blocks of code were found", blocks)
	}
}

// goLine is how a line of Go begins in a block that is indented and not fenced.
var goLine = regexp.MustCompile(`^ {4,}(?:(?:reg|core|bunsource|pgsource|mux|e|db)\.\w+\(|type \w+ struct|defer |[\w, ]+ := \w|for .* range |func )`)

// TestIndentedBlocksAreNoGo finds Go that no compiler sees, since it stands in an
// indented block: TestBlocks looks at fences.
func TestIndentedBlocksAreNoGo(t *testing.T) {
	fence := regexp.MustCompile("^[ \t]*```")
	for _, page := range pages(t) {
		fenced, n := false, 0
		for line := range strings.Lines(string(read(t, page))) {
			n++
			if fence.MatchString(line) {
				fenced = !fenced
			} else if !fenced && goLine.MatchString(line) {
				t.Errorf("%s:%d: make it a block that shows compiled code: %s", page, n, strings.TrimSpace(line))
			}
		}
	}
}

var (
	regionBegin = regexp.MustCompile(`^\s*(?://|--|#|<!--) region (\S+)(?: -->)?$`)
	regionEnd   = regexp.MustCompile(`^\s*(?://|--|#|<!--) endregion(?: -->)?$`)
)

// region returns the text of a named region, without the indentation that its
// lines share and without the marks of regions inside it.
func region(source, name string) (string, error) {
	if name == "" {
		return "", errors.New("the comment names no region")
	}
	var pieces []string
	var piece strings.Builder
	var open []string // names of the regions around the line
	inside := func() bool {
		for _, o := range open {
			if o == name {
				return true
			}
		}
		return false
	}
	for line := range strings.Lines(source) {
		bare := strings.TrimRight(line, "\r\n")
		switch m := regionBegin.FindStringSubmatch(bare); {
		case m != nil:
			open = append(open, m[1])
		case regionEnd.MatchString(bare):
			if len(open) == 0 {
				return "", errors.New("a region ends that did not begin")
			}
			was := inside()
			open = open[:len(open)-1]
			if was && !inside() {
				pieces = append(pieces, dedent(piece.String()))
				piece.Reset()
			}
		case inside():
			piece.WriteString(bare + "\n")
		}
	}
	switch {
	case len(open) > 0:
		return "", fmt.Errorf("region %q does not end", open[len(open)-1])
	case len(pieces) == 0:
		return "", fmt.Errorf("there is no region %q", name)
	}
	return strings.Join(pieces, "\n"), nil
}

// dedent removes the white space that all lines begin with, and empty lines at
// both ends.
func dedent(text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	common, first := "", true
	for _, l := range lines {
		if strings.TrimSpace(l) == "" {
			continue
		}
		lead := l[:len(l)-len(strings.TrimLeft(l, " \t"))]
		if first {
			common, first = lead, false
		}
		for !strings.HasPrefix(lead, common) {
			common = common[:len(common)-1]
		}
	}
	for i, l := range lines {
		lines[i] = strings.TrimRight(strings.TrimPrefix(l, common), " \t")
	}
	return strings.Join(lines, "\n") + "\n"
}

func prefixed(indent, text string) string {
	if indent == "" {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line != "\n" {
			line = indent + line
		}
		b.WriteString(line)
	}
	return b.String()
}

// notInOrder returns the first line of the block that the source does not have
// behind the lines before it, and "" when all are there. Lines of "…" stand for
// any others.
func notInOrder(block, source string) string {
	var have []string
	for line := range strings.Lines(source) {
		have = append(have, strings.TrimSpace(line))
	}
	for line := range strings.Lines(block) {
		want := strings.TrimSpace(line)
		if want == "" || want == "…" {
			continue
		}
		for len(have) > 0 && have[0] != want {
			have = have[1:]
		}
		if len(have) == 0 {
			return want
		}
		have = have[1:]
	}
	return ""
}

// TestRegion tries the reading of regions itself.
func TestRegion(t *testing.T) {
	const source = "a\n\t// region one\n\tb\n\t\t// region two\n\t\tc\n\n\t\t// endregion\n\t// endregion\nd\n// region two\ne\n// endregion\n"
	for name, want := range map[string]string{"one": "b\n\tc\n", "two": "c\n\ne\n"} {
		if got, err := region(source, name); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	for _, c := range []struct{ source, name string }{{source, "three"}, {source, ""}, {"// region x\n", "x"}, {"// endregion\n", "x"}} {
		if got, err := region(c.source, c.name); err == nil {
			t.Errorf("region %q of %q: %q", c.name, c.source, got)
		}
	}
	if missing := notInOrder("b\n…\nc\n", "a\n\tb\nx\nc\n"); missing != "" {
		t.Errorf("missing %q", missing)
	}
	if missing := notInOrder("c\nb\n", "b\nc\n"); missing != "b" {
		t.Errorf("lines in another order: %q", missing)
	}
}
