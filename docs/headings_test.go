package docs

import (
	"os"
	"strings"
	"testing"
)

// TestChangelogHeadings: within a release each heading stands once. Two branches that
// add one each are merged without a conflict.
func TestChangelogHeadings(t *testing.T) {
	text, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "## "):
			clear(seen)
		case strings.HasPrefix(line, "### "), strings.HasPrefix(line, "#### "):
			if seen[line] {
				t.Errorf("%q stands twice", line)
			}
			seen[line] = true
		}
	}
}

// TestDecisionsIndex: every decision is in the index by topic at the top of the page.
func TestDecisionsIndex(t *testing.T) {
	text, err := os.ReadFile("decisions.md")
	if err != nil {
		t.Fatal(err)
	}
	index, decisions, _ := strings.Cut(string(text), "\n## ")
	for line := range strings.Lines("## " + decisions) {
		if heading, ok := strings.CutPrefix(strings.TrimSpace(line), "## "); ok && !strings.Contains(index, "["+heading+"](") {
			t.Errorf("%q is not in the index", heading)
		}
	}
}
