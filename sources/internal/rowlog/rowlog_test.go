package rowlog

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
)

// A set holds each key once, up to its bound, and is the whole table beyond it.
func TestSetsAgainstAModel(t *testing.T) {
	table := driver.Table{Name: "t"}
	schema := driver.Schema{Table: table, Key: []string{"a", "b"}, Columns: []driver.Column{{Name: "a", Kind: value.KindText}, {Name: "b", Kind: value.KindText}}}
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 6).Draw(t, "limit")
		text := rapid.SampledFrom([]string{"", "x", "xy", "y", "\x01"})
		model, whole := map[driver.Key]bool{}, false
		all := make(Changes)
		for range rapid.IntRange(0, 12).Draw(t, "keys") {
			a, b := text.Draw(t, "a"), text.Draw(t, "b")
			other := make(Changes)
			other.Of(table).Add(AppendPart(AppendPart(nil, []byte(a)), []byte(b)), limit)
			all.Merge(other, limit)
			if model[driver.KeyOf(a, b)] = true; len(model) > limit {
				whole = true
			}
		}
		got := all.Report([]driver.Schema{schema, {Table: driver.Table{Name: "other"}}})
		switch {
		case len(model) == 0:
			if len(got) != 0 {
				t.Fatalf("of nothing: %v", got)
			}
		case len(got) != 1 || got[0].Table != table || (got[0].Keys == nil) != whole:
			t.Fatalf("reported %v, whole %v", got, whole)
		case !whole && (len(got[0].Keys) != len(model) || slices.ContainsFunc(got[0].Keys, func(k driver.Key) bool { return !model[k] })):
			t.Fatalf("reported %v of %v", got[0].Keys, model)
		}
	})
}

// A key whose text need not be the loader's means the whole table.
func TestTextsThatTellNoKey(t *testing.T) {
	for _, c := range []struct {
		kind  value.Kind
		text  string
		whole bool
	}{
		{value.KindInt, "5", false},
		{value.KindInt, "x", true},
		{value.KindFloat, "1.5", true},
		{value.KindOpaque, "(1,2)", true},
		{value.KindBytes, `\x00ff`, false},
		{value.KindBytes, "abc", true},
	} {
		all, table := make(Changes), driver.Table{Name: "t"}
		all.Of(table).Add(AppendPart(nil, []byte(c.text)), 10)
		got := all.Report([]driver.Schema{{Table: table, Key: []string{"a"}, Columns: []driver.Column{{Name: "a", Kind: c.kind}}}})
		if len(got) != 1 || (got[0].Keys == nil) != c.whole {
			t.Errorf("%v %q: reported %v, want whole %v", c.kind, c.text, got, c.whole)
		}
	}
}
