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
	bound := filter.Bind(e, func(name string) (value.Value, bool) {
		if name == "venue" {
			return value.Text("store"), true
		}
		return value.Int(7), true
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
