package arguments_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/arguments"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/value"
)

var kinds = []value.Kind{
	value.KindBool, value.KindInt, value.KindFloat, value.KindDecimal, value.KindText, value.KindBytes, value.KindTime,
}

// FuzzParse holds that whatever a client sends either becomes values of the
// parameter's kind, each once and in ascending order, or is explained shortly.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"", "1", "1e3", "-0", "NaN", "true", "null", `"a"`, "[1,2,2]", `["1e999"]`, "2024-02-30T00:00:00Z", "\x00ff", "\xff", "[[1]]", "{"} {
		for k := range kinds {
			f.Add(text, uint8(k), false)
			f.Add(text, uint8(k), true)
		}
	}
	f.Fuzz(func(t *testing.T, text string, kind uint8, repeated bool) {
		p := rowset.Parameter{Name: "p", Kind: kinds[int(kind)%len(kinds)], Repeated: repeated}
		for _, arg := range []any{arguments.Texts{text}, arguments.JSON(text), text} {
			params, wrong := arguments.Parse([]rowset.Parameter{p}, map[string]any{"p": arg})
			if wrong != nil {
				if wrong.Name != "p" || wrong.Detail == "" || len(wrong.Detail) > 200 {
					t.Errorf("%T of %v: the problem is %+v", arg, p.Kind, wrong)
				}
				continue
			}
			values := params.Values("p")
			if len(values) == 0 || !repeated && len(values) > 1 || !slices.IsSortedFunc(values, value.Compare) || len(slices.Compact(slices.Clone(values))) != len(values) {
				t.Errorf("%T of %v: the values are %v", arg, p.Kind, values)
			}
			for _, v := range values {
				if v.Kind() != p.Kind {
					t.Errorf("%T of %v: the value %v is of kind %v", arg, p.Kind, v, v.Kind())
				}
			}
		}
	})
}

func TestUnknownNames(t *testing.T) {
	params := []rowset.Parameter{{Name: "a", Kind: value.KindInt, Optional: true}, {Name: "b", Kind: value.KindInt, Optional: true}}
	long := strings.Repeat("x", 1000)
	_, wrong := arguments.Parse(params, map[string]any{long: 1})
	if wrong == nil || len(wrong.Name) > 110 || wrong.Detail != "is unknown; there are: a, b" {
		t.Errorf("the problem is %+v", wrong)
	}
	if _, wrong = arguments.Parse(nil, map[string]any{"a": 1}); wrong == nil || wrong.Detail != "is unknown; the binding has no parameters" {
		t.Errorf("the problem is %+v", wrong)
	}
}

// TestFilter holds that a client's filter is taken as it is, or refused: by its size,
// or because it would tell about columns that the client does not see.
func TestFilter(t *testing.T) {
	schema := &driver.Schema{Columns: []driver.Column{{Name: "seen", JSON: "seen", Kind: value.KindInt}, {Name: "secret", Kind: value.KindInt}}}
	one := filter.Eq("seen", 1)
	for _, c := range []struct {
		filters []filter.Expr
		hidden  bool
		want    string // the problem, or the filter
	}{
		{nil, true, ""},
		{[]filter.Expr{one}, false, one.String()},
		{[]filter.Expr{one, one}, false, filter.And(one, one).String()},
		{[]filter.Expr{one, nil}, false, "is nil"},
		{[]filter.Expr{one}, true, "cannot be given"},
		{[]filter.Expr{filter.Eq("secret", 1)}, false, "is not acceptable"},
		{[]filter.Expr{filter.Eq("nowhere", 1)}, false, "is not acceptable"},
		{[]filter.Expr{filter.Eq("seen", strings.Repeat("1", 20<<10))}, false, "is longer than 16384 bytes"},
	} {
		by, wrong := arguments.Filter(schema, c.hidden, c.filters)
		got := ""
		switch {
		case wrong != nil:
			got = wrong.Detail
		case by != nil:
			got = by.String()
		}
		if !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%v (hidden: %v): %q, want %q", c.filters, c.hidden, got, c.want)
		}
	}
}
