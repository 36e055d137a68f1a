package docs

import (
	"fmt"
	"strings"
	"testing"
)

// TestChaptersHaveTablesOfTheirOwn reads where each chapter of the tutorial keeps
// its orders. The table changes from chapter to chapter and each creates it only if
// there is none, so two chapters that shared a file would fail for who reads on.
func TestChaptersHaveTablesOfTheirOwn(t *testing.T) {
	for chapter := 1; chapter <= 5; chapter++ {
		path := fmt.Sprintf("examples/tutorial/%d/main.go", chapter)
		if want := fmt.Sprintf("cafe-%d.sqlite", chapter); !strings.Contains(string(read(t, path)), want) {
			t.Errorf("%s does not open %s", path, want)
		}
	}
}
