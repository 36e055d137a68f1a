package docs

import (
	"bytes"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// quoted is what a page says that the program says.
var quoted = regexp.MustCompile("`((?:core|bunsource|rest|sse|websocket|socketio|pollsource|pgsource|sqlitesource|natssource|warmstart|graceful|admin): [^`]+|it is [^`]+)`")

// TestMessages finds every message that docs/troubleshooting.md quotes in the
// code, so that whoever searches for what they have read finds it. "…" stands for
// what differs.
func TestMessages(t *testing.T) {
	var code []byte
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		if rel, _ := filepath.Rel(root, path); slices.Contains([]string{"core", "sources", "transports", "plugins"}, strings.Split(filepath.ToSlash(rel), "/")[0]) {
			code = append(code, read(t, filepath.ToSlash(rel))...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, m := range quoted.FindAllStringSubmatch(string(read(t, "docs/troubleshooting.md")), -1) {
		for part := range strings.SplitSeq(m[1], "…") {
			found++
			if part = strings.TrimSpace(part); part != "" && !bytes.Contains(code, []byte(part)) {
				t.Errorf("nothing says %q", part)
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d messages were found", found)
	}
}
