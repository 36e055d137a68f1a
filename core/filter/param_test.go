package filter_test

import (
	"strings"
	"testing"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

func paramKinds(column string) (value.Kind, bool) {
	switch column {
	case "venue":
		return value.KindText, true
	case "price":
		return value.KindInt, true
	}
	return value.KindNull, false
}

func TestBindParameters(t *testing.T) {
	e := filter.And(
		filter.Eq("venue", filter.Param("venue")),
		filter.Or(filter.In("price", 1, filter.Param("p")), filter.Not(filter.Gt("price", filter.Param("p")))),
		filter.NotNull("price"))
	uses := filter.Parameters(e)
	want := []filter.ParameterUse{{Name: "venue", Column: "venue"}, {Name: "p", Column: "price"}, {Name: "p", Column: "price"}}
	if len(uses) != len(want) {
		t.Fatalf("got uses %v, want %v", uses, want)
	}
	for i := range want {
		if uses[i] != want[i] {
			t.Errorf("use %d: got %v, want %v", i, uses[i], want[i])
		}
	}
	before := e.String()
	bound := filter.Bind(e, func(name string) []value.Value {
		if name == "venue" {
			return []value.Value{value.Text("store")}
		}
		return []value.Value{value.Int(7)}
	})
	plain := filter.And(
		filter.Eq("venue", "store"),
		filter.Or(filter.In("price", 1, 7), filter.Not(filter.Gt("price", 7))),
		filter.NotNull("price"))
	if bound.String() != plain.String() {
		t.Errorf("bound: got %s, want %s", bound, plain)
	}
	if e.String() != before {
		t.Errorf("binding changed the original: %s", e)
	}
	if len(filter.Parameters(bound)) != 0 {
		t.Errorf("parameters are left in %s", bound)
	}
}

func TestUnboundParameters(t *testing.T) {
	e := filter.Eq("venue", filter.Param("venue"))
	if err := filter.CheckParameterized(e, paramKinds); err != nil {
		t.Errorf("CheckParameterized: %v", err)
	}
	if err := filter.CheckParameterized(filter.Eq("nowhere", filter.Param("venue")), paramKinds); err == nil {
		t.Error("an unknown column was accepted")
	}
	if err := filter.Check(e, paramKinds); err == nil || !strings.Contains(err.Error(), `"venue"`) {
		t.Errorf("Check of a parameter without a value: %v", err)
	}
	if filter.Eq("venue", filter.Param("a")).String() == filter.Eq("venue", "$a").String() {
		t.Error("a parameter and a text look alike")
	}
}

// TestBindOptionalParameters compares what is left of expressions with what they
// mean: a comparison with a parameter that is not given restricts nothing, wherever
// it stands.
func TestBindOptionalParameters(t *testing.T) {
	venue, price, several := filter.Param("v").Optional(), filter.Param("p").Optional(), filter.Param("s").Repeated().Optional()
	one := []value.Value{value.Int(1)}
	for _, tt := range []struct {
		e     filter.Expr
		given map[string][]value.Value
		want  string
	}{
		{filter.Eq("venue", venue), nil, "true"},
		{filter.Not(filter.Eq("venue", venue)), nil, "true"},
		{filter.Not(filter.Not(filter.Eq("venue", venue))), nil, "true"},
		{filter.And(filter.Gt("price", price), filter.Eq("venue", "x")), nil, `venue = "x"`},
		{filter.And(filter.Gt("price", price), filter.Eq("venue", venue)), map[string][]value.Value{"p": one}, "price > 1"},
		{filter.Or(filter.Eq("price", price), filter.Eq("venue", "x")), nil, "true"},
		{filter.Not(filter.Or(filter.Eq("price", price), filter.Eq("venue", "x"))), nil, `not (venue = "x")`},
		{filter.Not(filter.And(filter.Eq("price", price), filter.Eq("venue", "x"))), nil, "true"},
		{filter.Contains("venue", venue), nil, "true"},
		{filter.HasPrefixFold("venue", venue), map[string][]value.Value{"v": {value.Text("a")}}, `venue begins with "a" in any case`},
		{filter.In("price", several), nil, "true"},
		{filter.NotIn("price", several), nil, "true"},
		{filter.In("price", 3, several), nil, "price in (3)"},
		{filter.In("price", 3, several), map[string][]value.Value{"s": {value.Int(2), value.Int(1)}}, "price in (1, 2, 3)"},
		{filter.NotIn("price", several), map[string][]value.Value{"s": one}, "price not in (1)"},
		{filter.Eq("price", filter.Param("must")), nil, `price = $"must"`},
		{filter.And(filter.IsNull("venue"), filter.In("price", filter.Param("must").Repeated())), nil, `(venue is null and price in ($"must"...))`},
	} {
		got := filter.Bind(tt.e, func(name string) []value.Value { return tt.given[name] })
		if got.String() != tt.want {
			t.Errorf("%s with %v: got %s, want %s", tt.e, tt.given, got, tt.want)
		}
	}
}

func TestRepeatedParametersStandInLists(t *testing.T) {
	several := filter.Param("s").Repeated()
	for _, e := range []filter.Expr{filter.Eq("venue", several), filter.Contains("venue", several)} {
		if err := filter.CheckParameterized(e, paramKinds); err == nil || !strings.Contains(err.Error(), "stands in In or NotIn") {
			t.Errorf("%s: %v", e, err)
		}
	}
	if err := filter.CheckParameterized(filter.In("price", several), paramKinds); err != nil {
		t.Error(err)
	}
}

func TestCheckSearch(t *testing.T) {
	for _, tt := range []struct {
		e    filter.Expr
		want string
	}{
		{filter.Contains("venue", ""), ""},
		{filter.Contains("price", "1"), `searching column "price": it holds no text but values of kind int`},
		{filter.Contains("nowhere", "1"), `unknown column "nowhere"`},
		{filter.HasPrefix("venue", nil), "nothing compares with NULL"},
		{filter.HasPrefix("venue", "a\x00"), "UTF-8 without NUL"},
		{filter.HasPrefix("venue", "\xc3"), "UTF-8 without NUL"},
		{filter.Contains("venue", filter.Param("q")), "has no value"},
	} {
		err := filter.Check(tt.e, paramKinds)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %v, want %q", tt.e, err, tt.want)
		}
	}
	exact := func(have filter.Exactness, e filter.Expr) bool {
		return filter.IsExact(e, func(string) filter.Exactness { return have })
	}
	if !exact(filter.ExactEqual, filter.Contains("venue", "a")) || exact(filter.ExactOrder, filter.HasPrefix("venue", "a")) {
		t.Error("a search needs what = needs")
	}
	if exact(filter.Exact, filter.ContainsFold("venue", "a")) || !exact(filter.ExactEqual|filter.ExactFold, filter.ContainsFold("venue", "a")) {
		t.Error("a search in any case needs ExactFold")
	}
}
