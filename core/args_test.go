package core_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
)

// shelf is a family with parameters of every sort: a filter bar and a search box.
func shelf(r *rig, opts ...core.Option) *core.Family[item] {
	q := filter.Param("q").Optional()
	return core.BindFamily("shelf", r.table, append(opts,
		core.Where(
			filter.In("name", filter.Param("name").Repeated().Optional()),
			filter.NotIn("price", filter.Param("not").Repeated().Optional()),
			filter.Ge("price", filter.Param("from").Optional()), filter.Le("price", filter.Param("to").Optional()),
			filter.Or(filter.ContainsFold("name", q), filter.HasPrefix("name", q)),
			filter.Not(filter.Eq("live", filter.Param("dead").Optional())),
		),
		core.OrderBy("id"), core.OrderParam("sort", "price", "-price,name"),
		core.LimitParam("top", 1, 3),
	)...)
}

// asked is what is asked of the shelf.
type asked struct {
	names    []string
	not      []int
	from, to *int
	q        *string
	dead     *bool
	sort     string
	top      int
}

var genAsked = rapid.Custom(func(t *rapid.T) asked {
	number := func(name string) *int { return maybe(t, name, rapid.IntRange(-1, 6)) }
	return asked{
		names: rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "ä", "Ab"}), 0, 4).Draw(t, "names"),
		not:   rapid.SliceOfN(rapid.IntRange(0, 5), 0, 3).Draw(t, "not"),
		from:  number("from"), to: number("to"),
		q:    maybe(t, "q", rapid.SampledFrom([]string{"a", "B", "ä", "ab"})),
		dead: maybe(t, "dead", rapid.Bool()),
		sort: rapid.SampledFrom([]string{"", "", "price", "-price,name"}).Draw(t, "sort"),
		top:  rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(t, "top"),
	}
})

func maybe[T any](t *rapid.T, name string, gen *rapid.Generator[T]) *T {
	if rapid.IntRange(0, 2).Draw(t, name+" is given") > 0 {
		return nil
	}
	v := gen.Draw(t, name)
	return &v
}

// inGo, inQuery and inJSON are the same question in the three forms. What is not
// asked is left out, or said to be nothing.
func (a asked) inGo() core.Args {
	args := core.Args{"from": a.from, "to": a.to, "q": a.q, "dead": a.dead, "name": a.names, "not": a.not}
	if a.sort != "" {
		args["sort"] = a.sort
	}
	if a.top != 0 {
		args["top"] = a.top
	}
	return args
}

func (a asked) inQuery() core.Args {
	query := url.Values{"name": slices.Clone(a.names)}
	slices.Reverse(query["name"])
	for _, n := range a.not {
		query.Add("not", strconv.Itoa(n))
	}
	put := func(name string, given bool, value func() any) {
		query.Set(name, "") // as forms do
		if given {
			query.Set(name, fmt.Sprint(value()))
		}
	}
	put("from", a.from != nil, func() any { return *a.from })
	put("to", a.to != nil, func() any { return *a.to })
	put("q", a.q != nil, func() any { return *a.q })
	put("dead", a.dead != nil, func() any { return *a.dead })
	put("sort", a.sort != "", func() any { return a.sort })
	put("top", a.top != 0, func() any { return a.top })
	return core.QueryArgs(query)
}

func (a asked) inJSON(t *rapid.T) core.Args {
	raw := make(map[string]json.RawMessage)
	for name, v := range a.inGo() {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		raw[name] = text
	}
	return core.JSONArgs(raw)
}

// of is the plain model.
func (a asked) of(rows map[driver.Key]item) []item {
	var found []item
	for _, i := range rows {
		lower := strings.Map(func(r rune) rune {
			if r >= 'A' && r <= 'Z' {
				return r + 'a' - 'A'
			}
			return r
		}, i.Name)
		if len(a.names) > 0 && !slices.Contains(a.names, i.Name) || slices.Contains(a.not, i.Price) ||
			a.from != nil && i.Price < *a.from || a.to != nil && i.Price > *a.to ||
			a.q != nil && !strings.Contains(lower, strings.ToLower(*a.q)) || a.dead != nil && i.Live == *a.dead {
			continue
		}
		found = append(found, i)
	}
	slices.SortFunc(found, func(x, y item) int {
		switch a.sort {
		case "price":
			return cmp.Or(cmp.Compare(x.Price, y.Price), cmp.Compare(x.ID, y.ID))
		case "-price,name":
			return cmp.Or(cmp.Compare(y.Price, x.Price), cmp.Compare(x.Name, y.Name), cmp.Compare(x.ID, y.ID))
		}
		return cmp.Compare(x.ID, y.ID)
	})
	if a.top > 0 {
		found = found[:min(len(found), a.top)]
	}
	return found
}

// TestParametersAgainstModel asks for members in all forms while rows change: each
// form names the same member, and that holds what the plain model says.
func TestParametersAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newItems(t, core.Config{})
		fam := shelf(r)
		r.start(t, fam)
		defer r.stop(t)
		type open struct {
			m *core.Member[item]
			a asked
		}
		var members []open
		check := func(o open) {
			if got, want := slices.Collect(o.m.All()), o.a.of(r.table.Rows()); !slices.Equal(got, want) {
				t.Fatalf("%s: got %v, want %v", o.m.ID(), got, want)
			}
		}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "open") {
				a := genAsked.Draw(t, "asked")
				var ids []string
				for _, args := range []core.Args{a.inGo(), a.inQuery(), a.inJSON(t)} {
					m, err := fam.Open(r.ctx, args)
					if err != nil {
						t.Fatalf("Open(%v): %v", args, err)
					}
					ids = append(ids, m.ID())
					members = append(members, open{m, a})
					check(open{m, a})
					again, err := fam.Open(r.ctx, core.ParamArgs(m.Params()))
					if err != nil || again.View != m.View {
						t.Fatalf("the parameters of %s name another member: %v", m.ID(), err)
					}
					again.Close()
				}
				_, query, _ := strings.Cut(ids[0], "?")
				values, err := url.ParseQuery(query)
				if err != nil || ids[0] != ids[1] || ids[1] != ids[2] {
					t.Fatalf("one question names %q (%v)", ids, err)
				}
				if id, err := r.reg.MemberID("shelf", core.QueryArgs(values)); err != nil || id != ids[0] {
					t.Fatalf("%s is read as %s, %v", ids[0], id, err)
				}
				continue
			}
			r.report(t, r.table.Put(item{
				ID:    rapid.IntRange(1, 6).Draw(t, "id"),
				Name:  rapid.SampledFrom([]string{"", "a", "b", "ä", "Ab", "Äb"}).Draw(t, "name"),
				Price: rapid.IntRange(0, 5).Draw(t, "price"),
				Live:  rapid.Bool().Draw(t, "live"),
			}))
			for _, o := range members {
				check(o)
			}
		}
	})
}

func TestRepeatedParameterNamesOneMember(t *testing.T) {
	r := newItems(t, core.Config{})
	fam := shelf(r)
	r.start(t, fam)
	defer r.stop(t)
	m, err := fam.Open(r.ctx, core.Args{"not": []int64{5, 3, 5}, "name": []string{"b", "a"}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if m.ID() != "shelf?name=a&name=b&not=3&not=5" {
		t.Errorf("ID: %s", m.ID())
	}
	if text, _ := json.Marshal(m.Params()); string(text) != `{"name":["a","b"],"not":[3,5]}` {
		t.Errorf("JSON: %s", text)
	}
	if _, ok := m.Params().Get("not"); ok {
		t.Error("Get returns one of several values: an authorizer would look at no other")
	}
	if v, ok := (live.Params{{Name: "not", Value: m.Params()[0].Value, Repeated: true}}).Get("not"); !ok || v != m.Params()[0].Value {
		t.Error("Get does not return the only value")
	}
	if got := m.Params().Values("not"); len(got) != 2 {
		t.Errorf("Values: %v", got)
	}
}

func TestArgumentsOfParametersOfAllSorts(t *testing.T) {
	r := newItems(t, core.Config{})
	r.start(t, shelf(r))
	defer r.stop(t)
	many := func(n, size int) []string {
		values := make([]string, n)
		for i := range values {
			values[i] = fmt.Sprintf("%0*d", size, i)
		}
		return values
	}
	for _, c := range []struct {
		args core.Args
		want string // in the error, "" for none
	}{
		{nil, ""},
		{core.QueryArgs(url.Values{"q": {""}, "from": {""}, "name": {"", ""}}), ""},
		{core.JSONArgs(raw(`{"q":null,"name":[],"not":7,"from":"3"}`)), ""},
		{core.JSONArgs(raw(`{"q":"","name":["",null]}`)), ""},
		{core.Args{"q": "", "from": (*int)(nil), "name": []string{""}}, ""},
		{core.QueryArgs(url.Values{"name": many(100, 1)}), ""},
		{core.QueryArgs(url.Values{"name": many(101, 1)}), `parameter "name" has more than 100 values`},
		{core.JSONArgs(raw(`{"not":[` + strings.TrimSuffix(strings.Repeat("1,", 101), ",") + `]}`)), `parameter "not" has more than 100 values`},
		{core.QueryArgs(url.Values{"name": many(5, 1000)}), `parameter "name" has values of more than 4096 bytes`},
		{core.QueryArgs(url.Values{"name": many(1, 1025)}), `parameter "name" is longer than 1024 bytes`},
		{core.QueryArgs(url.Values{"q": {"a", "b"}}), `parameter "q" must not be repeated`},
		{core.JSONArgs(raw(`{"q":["a"]}`)), `parameter "q" must be text`},
		{core.JSONArgs(raw(`{"name":["a",7]}`)), `parameter "name" must be text`},
		{core.JSONArgs(map[string]json.RawMessage{"name": json.RawMessage(`["a"`)}), `parameter "name" must be text, or an array`},
		{core.JSONArgs(raw(`{"name":[["a"]]}`)), `parameter "name" must be text`},
		{core.QueryArgs(url.Values{"q": {"\xff"}}), `parameter "q" must be text, in UTF-8`},
		{core.QueryArgs(url.Values{"from": {"x"}}), `parameter "from" must be an integer`},
		{core.QueryArgs(url.Values{"sort": {"name"}}), `parameter "sort" must be one of: price; -price,name`},
		{core.QueryArgs(url.Values{"sort": {"price", "price"}}), `parameter "sort" must not be repeated`},
		{core.Args{"top": 2}, `parameter "top" must be one of: 1; 3`},
		{core.QueryArgs(url.Values{"top": {"all"}}), `parameter "top" must be an integer`},
		{core.Args{"limit": 2}, `parameter "limit" is unknown; there are: dead, from, name, not, q, sort, to, top`},
	} {
		g, err := r.reg.Open(r.ctx, "shelf", c.args)
		var arg *core.ArgumentError
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%v: %v", c.args, err)
		case c.want != "" && (!errors.As(err, &arg) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%v: got %v, want %s", c.args, err, c.want)
		case err == nil:
			g.Close()
		}
	}
	if id, err := r.reg.MemberID("shelf", core.JSONArgs(raw(`{"q":"","name":["",null]}`))); id != "shelf" || err != nil {
		t.Errorf("what is empty names %s, %v", id, err)
	}
}

func TestProblemsOfChoices(t *testing.T) {
	r := newItems(t, core.Config{})
	where := core.Where(filter.Eq("name", filter.Param("p")))
	_ = r.reg.Add(
		core.Bind("plain", r.table, core.OrderParam("sort", "name")),
		core.BindFamily("column", r.table, core.OrderParam("sort", "name", "nowhere")),
		core.BindFamily("taken", r.table, where, core.OrderParam("p", "name")),
		core.BindFamily("reserved", r.table, core.LimitParam("limit", 1)),
		core.BindFamily("none", r.table, core.LimitParam("top")),
		core.BindFamily("low", r.table, core.LimitParam("top", 0)),
		core.BindFamily("twice", r.table, core.LimitParam("a", 1), core.LimitParam("b", 1)),
		core.BindFamily("both", r.table, core.Where(filter.Eq("name", filter.Param("p")), filter.Ne("name", filter.Param("p").Optional()))),
		core.BindFamily("list", r.table, core.Where(filter.Eq("name", filter.Param("p").Repeated()))),
	)
	err := r.reg.Start(r.ctx)
	if err == nil {
		t.Fatal("Start succeeded")
	}
	for _, want := range []string{
		"OrderParam and LimitParam are for families", `OrderParam "sort": order: unknown column "nowhere"`,
		`OrderParam "p": the name is another parameter's`, `LimitParam "limit": the name has another meaning`,
		`LimitParam "top": there is nothing to choose from`, `limit 0: must be at least 1`, `LimitParam is given twice ("a", "b")`,
		`parameter "p" is optional, or repeated, in one place and not in another`, "stands in In or NotIn",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
	_ = r.reg.Shutdown(r.ctx)
}
