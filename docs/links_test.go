package docs

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"`)
	heading = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *#*$`)
	fence   = regexp.MustCompile("(?ms)^[ \t]*```.*?^[ \t]*```$")
	inline  = regexp.MustCompile("`[^`\n]*`")
	display = regexp.MustCompile(`(?m)^    .*$`) // code by indentation
)

// anchors returns the names by which a page's headings are reached, as GitHub
// makes them.
func anchors(page string) map[string]bool {
	found := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		var b strings.Builder
		for _, r := range strings.ToLower(m[1]) {
			switch {
			case r == ' ':
				b.WriteByte('-')
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				b.WriteRune(r)
			}
		}
		name := b.String()
		for n := 1; found[name]; n++ {
			name = b.String() + "-" + string(rune('0'+n))
		}
		found[name] = true
	}
	return found
}

// TestLinks follows every link of every page that stays in this repository.
func TestLinks(t *testing.T) {
	links := 0
	for _, page := range pages(t) {
		text := inline.ReplaceAllString(display.ReplaceAllString(fence.ReplaceAllString(string(read(t, page)), ""), ""), "")
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target := m[1] + m[2]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			links++
			file, anchor, _ := strings.Cut(target, "#")
			at := page
			if file != "" {
				at = path.Join(path.Dir(page), file)
			}
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(at))); err != nil {
				t.Errorf("%s: %s leads nowhere", page, target)
				continue
			}
			if anchor != "" && strings.HasSuffix(at, ".md") && !anchors(string(read(t, at)))[anchor] {
				t.Errorf("%s: %s has no heading for #%s", page, at, anchor)
			}
		}
	}
	if links < 50 {
		t.Errorf("only %d links were found", links)
	}
}

// TestIndex finds every page in the index and in llms.txt, and every plugin,
// source and transport in the README.
func TestIndex(t *testing.T) {
	index, machines, readme := string(read(t, "docs/index.md")), string(read(t, "docs/llms.txt")), string(read(t, "README.md"))
	for _, page := range pages(t) {
		name, inDocs := strings.CutPrefix(page, "docs/")
		if !inDocs || name == "index.md" || strings.HasPrefix(name, "tutorial/") && name != "tutorial/README.md" {
			continue
		}
		for where, text := range map[string]string{"docs/index.md": index, "docs/llms.txt": machines} {
			if !strings.Contains(text, "("+name+")") {
				t.Errorf("%s does not lead to %s", where, page)
			}
		}
	}
	for _, m := range link.FindAllStringSubmatch(machines, -1) {
		if _, err := os.Stat(m[1]); err != nil {
			t.Errorf("docs/llms.txt: %v", err)
		}
	}
	for _, room := range []string{"sources", "transports", "plugins", "examples"} {
		entries, err := os.ReadDir(filepath.Join(root, room))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			switch e.Name() {
			case "internal", "sourcetest", "together", "transporttest", "clienttest", "fanoutbench": // for tests
				continue
			}
			if e.IsDir() && !strings.Contains(readme, "`"+e.Name()) && !strings.Contains(readme, room+"/"+e.Name()) {
				t.Errorf("the README does not name %s/%s", room, e.Name())
			}
			if e.IsDir() && room == "examples" {
				if _, err := os.Stat(filepath.Join(root, room, e.Name(), "README.md")); err != nil {
					t.Errorf("an example does not say how to run it: %v", err)
				}
			}
		}
	}
}
