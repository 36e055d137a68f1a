package core_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// label is what clients see of an item.
type label struct {
	ID   int    `json:"id"`
	Text string `json:"text"`
}

func labelOf(i item) label { return label{i.ID, strings.ToUpper(i.Name)} }

func body(b *core.Binding[item]) string {
	return strings.TrimSuffix(string(b.Snapshot().Body()), "\n")
}

// TestColumns: what is not shown is no event, unless it moves the row.
func TestColumns(t *testing.T) {
	r := newItems(t, core.Config{})
	r.table.Put(item{ID: 1, Name: "a", Price: 5}, item{ID: 2, Name: "b", Price: 7})
	names := core.Bind("names", r.table, core.Columns("name", "id"))
	ranked := core.Bind("ranked", r.table, core.Columns("id"), core.Columns("name"), core.OrderBy("price"))
	named := core.Bind("named", r.table, core.Columns("id", "name"), core.OrderBy("-name"))
	r.start(t, names, ranked, named)
	defer r.stop(t)

	if got, want := body(names), `[{"id":1,"name":"a"},{"id":2,"name":"b"}]`; got != want {
		t.Fatalf("shown %s, want %s", got, want)
	}
	var unseen []string
	for _, c := range names.Schema().Columns {
		if c.JSON == "" {
			unseen = append(unseen, c.Name)
		}
	}
	if !slices.Equal(unseen, []string{"price", "live"}) {
		t.Errorf("columns without a JSON name: %q", unseen)
	}
	if f := ranked.OrderFields(); f != nil {
		t.Errorf("order by a column that is not shown: %q", f)
	}
	if f := named.OrderFields(); !slices.Equal(f, []string{"-name", "id"}) {
		t.Errorf("order by a column that is shown: %q", f)
	}

	sub := names.Subscribe(live.SubscribeOptions{Version: names.Version().Token})
	defer sub.Close()
	if e, err := sub.Next(r.ctx); err != nil || e.Kind != live.Confirmed {
		t.Fatalf("%+v %v", e, err)
	}
	before, rankedBefore := names.Version(), ranked.Version()
	r.report(t, r.table.Put(item{ID: 1, Name: "a", Price: 5, Live: true}))
	if names.Version() != before || ranked.Version() != rankedBefore {
		t.Error("a change that nobody sees made a version")
	}
	if e, err := sub.Poll(); e != nil || err != nil {
		t.Errorf("a change that nobody sees made the event %+v %v", e, err)
	}
	if got, _ := names.Get(key(1)); !got.Live {
		t.Errorf("Go code sees %+v", got)
	}

	r.report(t, r.table.Put(item{ID: 1, Name: "a", Price: 8, Live: true}))
	if names.Version() != before {
		t.Error("a change that nobody sees made a version")
	}
	if ranked.Version().Token == rankedBefore.Token || body(ranked) != `[{"id":2,"name":"b"},{"id":1,"name":"a"}]` {
		t.Errorf("a row that moves: version %v, rows %s", ranked.Version(), body(ranked))
	}

	r.report(t, r.table.Put(item{ID: 1, Name: "c", Price: 8, Live: true}))
	e, err := sub.Next(r.ctx)
	if err != nil || len(e.Updated) != 1 || string(e.Updated[0].JSON()) != `{"id":1,"name":"c"}` {
		t.Fatalf("a change that is seen: %+v %v", e, err)
	}
	r.report(t, r.table.Remove(key(1)))
	if e, err = sub.Next(r.ctx); err != nil || len(e.Deleted) != 1 || string(names.KeyJSON(e.Deleted[0])) != `{"id":1}` {
		t.Fatalf("a delete: %+v %v", e, err)
	}
}

// TestSerialize: clients see the function's result, and only its changes.
func TestSerialize(t *testing.T) {
	r := newItems(t, core.Config{})
	r.table.Put(item{ID: 1, Name: "a"}, item{ID: 2, Name: "b"})
	labels := core.Bind("labels", r.table, core.Serialize(labelOf), core.OrderBy("name"))
	bare := core.Bind("bare", r.table, core.Serialize(func(i item) any { return i.Name }))
	r.start(t, labels, bare)
	defer r.stop(t)

	if got, want := body(labels), `[{"id":1,"text":"A"},{"id":2,"text":"B"}]`; got != want {
		t.Errorf("shown %s, want %s", got, want)
	}
	if got, want := body(bare), `["a","b"]`; got != want {
		t.Errorf("shown %s, want %s", got, want)
	}
	if f := labels.OrderFields(); f != nil {
		t.Errorf("order fields %q", f)
	}
	for _, b := range []*core.Binding[item]{labels, bare} {
		row, _ := b.Snapshot().Get(key(2))
		if got := string(b.KeyJSON(row)); got != `{"id":2}` {
			t.Errorf("%s: key %s", b.Name(), got)
		}
	}
	before := labels.Version()
	r.report(t, r.table.Put(item{ID: 1, Name: "a", Price: 3}))
	if labels.Version() != before {
		t.Error("a change that the result does not show made a version")
	}
	if got, _ := labels.Get(key(1)); got.Price != 3 {
		t.Errorf("Go code sees %+v", got)
	}
	r.report(t, r.table.Put(item{ID: 1, Name: "ä", Price: 3}))
	if row, _ := labels.Snapshot().Get(key(1)); string(row.JSON()) != `{"id":1,"text":"Ä"}` || labels.Version() == before {
		t.Errorf("after a change: %s", row.JSON())
	}
}

// TestEncodedOnce: bindings that show rows alike share the bytes.
func TestEncodedOnce(t *testing.T) {
	r := newItems(t, core.Config{})
	r.table.Put(item{ID: 1, Name: "a", Live: true}, item{ID: 2, Name: "b", Live: true})
	var calls atomic.Int32
	counted := core.Serialize(func(i item) label { calls.Add(1); return labelOf(i) })
	live := core.Where(filter.Eq("live", true))
	pairs := [][2]*core.Binding[item]{
		{core.Bind("a1", r.table), core.Bind("a2", r.table, live, core.OrderBy("name"))},
		{core.Bind("b1", r.table, core.Columns("id", "name")), core.Bind("b2", r.table, live, core.Columns("name", "id"))},
		{core.Bind("c1", r.table, counted), core.Bind("c2", r.table, live, counted)},
		// All columns are what there is without a choice.
		{core.Bind("d1", r.table), core.Bind("d2", r.table, core.Columns("id", "name", "price", "live"))},
	}
	var all []core.Bindable
	for _, p := range pairs {
		all = append(all, p[0], p[1])
	}
	r.start(t, all...)
	defer r.stop(t)
	check := func(id int) {
		t.Helper()
		for _, p := range pairs {
			x, _ := p[0].Snapshot().Get(key(id))
			y, _ := p[1].Snapshot().Get(key(id))
			if &x.JSON()[0] != &y.JSON()[0] {
				t.Errorf("%s and %s: rows %s and %s are encoded twice", p[0].Name(), p[1].Name(), x.JSON(), y.JSON())
			}
		}
	}
	check(1)
	if n := calls.Load(); n != 2 {
		t.Errorf("the serializer was called %d times for 2 rows", n)
	}
	r.report(t, r.table.Put(item{ID: 2, Name: "c", Live: true}))
	check(2)
	if n := calls.Load(); n != 3 {
		t.Errorf("the serializer was called %d times for 2 rows and a change", n)
	}
}

// priceless says that rows do not show their price.
type priceless struct{ *coretest.Table[item] }

func (p *priceless) Schema() (driver.Schema, error) {
	s, err := p.Table.Schema()
	s.Columns = slices.Clone(s.Columns)
	s.Columns[s.Column("price")].JSON = ""
	return s, err
}

// pickyItems refuses every update, for a column that is shown and for one that
// is not.
type pickyItems struct{ *coretest.Table[item] }

func (p *pickyItems) Update(context.Context, driver.Key, *item, []string, []string) error {
	return &driver.InvalidError{Fields: []driver.FieldError{{Field: "price", Detail: "is too low"}, {Field: "name", Detail: "is too short"}}}
}

// await waits until the condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestShownWrongly(t *testing.T) {
	r := newItems(t, core.Config{})
	_ = r.reg.Add(
		core.Bind("typed", r.table, core.Serialize(func(l label) any { return l })),
		core.Bind("nil", r.table, core.Serialize[item, any](nil)),
		core.Bind("twice", r.table, core.Serialize(labelOf), core.Serialize(labelOf)),
		core.Bind("both", r.table, core.Serialize(labelOf), core.Columns("id")),
		core.Bind("unknown", r.table, core.Columns("id", "nane")),
		core.Bind("none", r.table, core.Columns()),
		core.Bind("keyless", r.table, core.Columns("name")),
		core.Bind("repeated", r.table, core.Columns("id", "id")),
		core.Bind("unseen", &priceless{r.table}, core.Columns("id", "price")),
	)
	err := r.reg.Start(r.ctx)
	wantErr(t, err,
		`"typed"`, `takes a core_test.label, but the rows are of type core_test.item`,
		`"nil"`, `function is nil`,
		`"twice"`, `given twice`,
		`"both"`, `leave one of them out`,
		`"unknown"`, `unknown column "nane"`, `id, name, price, live`,
		`"none"`, `names no column`,
		`"keyless"`, `key column "id" is missing`,
		`"repeated"`, `"id" is named twice`,
		`"unseen"`, `column "price" is not part of the rows' JSON`,
	)
	var se *core.StartError
	if !errors.As(err, &se) || len(se.Problems) != 9 {
		t.Errorf("want 9 problems, got %v", err)
	}
	r.stop(t)
}

// TestShownByPanic: a panic is an error that names binding and row, and ends
// when the row is mended.
func TestShownByPanic(t *testing.T) {
	r := newItems(t, core.Config{})
	r.table.Put(item{ID: 1}, item{ID: 2})
	b := core.Bind("fragile", r.table, core.Writable(), core.Serialize(func(i item) int { return 100 / (i.Price - 5) }))
	r.start(t, b)
	defer r.stop(t)
	_, err := b.Write(r.ctx, live.Write{Op: live.Merge, Key: key(2), Body: []byte(`{"price":5}`)})
	wantErr(t, err, `"fragile"`, `"2"`, "panic", "divide by zero")

	before := b.Version()
	r.report(t, r.table.Put(item{ID: 1, Price: 5}))
	wantErr(t, b.Status().Err, `"fragile"`, `"1"`, "panic", "divide by zero")
	if b.Version() != before {
		t.Error("a failed read made a version")
	}
	r.table.Put(item{ID: 1, Price: 6}) // and nobody says so
	await(t, "the binding to recover", func() bool { return b.Status().State == status.Live })
	if row, _ := b.Snapshot().Get(key(1)); string(row.JSON()) != "100" {
		t.Errorf("after mending: %s", row.JSON())
	}
}

// bomb does not survive being encoded when it is lit.
type bomb struct {
	ID  int  `json:"id"`
	Lit bool `json:"lit"`
}

func (b bomb) MarshalJSON() ([]byte, error) {
	if b.Lit {
		panic("boom")
	}
	return []byte(`"dud"`), nil
}

// TestMarshalPanic: a panic of the model's own MarshalJSON ends no program.
func TestMarshalPanic(t *testing.T) {
	r := newItems(t, core.Config{})
	table := coretest.NewTable[bomb]("bombs", "id")
	table.Put(bomb{ID: 1})
	b := core.Bind("bombs", table)
	r.start(t, b)
	defer r.stop(t)
	change := table.Put(bomb{ID: 1, Lit: true})
	confirmed := make(chan error, 1)
	go func() { confirmed <- r.source.Report(r.ctx, change) }()
	await(t, "an error of the read", func() bool { return b.Status().Err != nil })
	wantErr(t, b.Status().Err, `"bombs"`, `"1"`, "panic", "boom", "core_test.bomb")
	table.Put(bomb{ID: 1})
	if err := <-confirmed; err != nil {
		t.Fatal(err)
	}
}

// TestWriteColumns: clients write what they see, and are not told of the rest.
func TestWriteColumns(t *testing.T) {
	r := newItems(t, core.Config{})
	r.table.Put(item{ID: 1, Name: "a", Price: 5, Live: true})
	shown := core.Columns("id", "name")
	b := core.Bind("names", r.table, core.Writable(), shown)
	picky := core.Bind("picky", &pickyItems{r.table}, core.Writable(), shown)
	r.start(t, b, picky)
	defer r.stop(t)

	_, err := b.Write(r.ctx, live.Write{Op: live.Merge, Key: key(1), Body: []byte(`{"price":1}`)})
	wantErr(t, err, `"price"`, "is no field of this binding")
	row, err := b.Write(r.ctx, live.Write{Op: live.Insert, Body: []byte(`{"id":2,"name":"b"}`)})
	if err != nil || string(row.JSON()) != `{"id":2,"name":"b"}` || r.table.Rows()[key(2)] != (item{ID: 2, Name: "b"}) {
		t.Errorf("answered %s %v", row.JSON(), err)
	}
	row, err = b.Write(r.ctx, live.Write{Op: live.Replace, Key: key(1), Body: []byte(`{"name":"b"}`)})
	if err != nil || string(row.JSON()) != `{"id":1,"name":"b"}` {
		t.Errorf("answered %s %v", row.JSON(), err)
	}
	if got := r.table.Rows()[key(1)]; got != (item{ID: 1, Name: "b", Price: 5, Live: true}) {
		t.Errorf("a replacement of what is shown left %+v", got)
	}
	shownRow, _ := b.Snapshot().Get(key(1))
	if row.Token() != shownRow.Token() {
		t.Error("the answer's token is not the binding's")
	}
	var invalid *driver.InvalidError
	_, err = picky.Write(r.ctx, live.Write{Op: live.Merge, Key: key(1), Body: []byte(`{"name":"c"}`)})
	if !errors.As(err, &invalid) || !slices.Equal(invalid.Fields, []driver.FieldError{{Field: "", Detail: "a column that is not shown here is too low"}, {Field: "name", Detail: "is too short"}}) {
		t.Errorf("what the database objects to: %v", err)
	}
}

// TestWriteSerialized: bodies are the model's, answers the serializer's.
func TestWriteSerialized(t *testing.T) {
	r := newItems(t, core.Config{})
	b := core.Bind("labels", r.table, core.Writable(), core.Serialize(labelOf))
	r.start(t, b)
	defer r.stop(t)
	row, err := b.Write(r.ctx, live.Write{Op: live.Insert, Body: []byte(`{"id":2,"name":"b","price":1,"live":true}`)})
	if err != nil || string(row.JSON()) != `{"id":2,"text":"B"}` {
		t.Fatalf("answered %s %v", row.JSON(), err)
	}
	token := row.Token()
	row, err = b.Write(r.ctx, live.Write{
		Op: live.Merge, Key: key(2), Body: []byte(`{"name":"c"}`),
		Match: func(r live.Row) bool { return r.Token() == token },
	})
	if err != nil || string(row.JSON()) != `{"id":2,"text":"C"}` {
		t.Errorf("answered %s %v", row.JSON(), err)
	}
	_, err = b.Write(r.ctx, live.Write{Op: live.Merge, Key: key(2), Body: []byte(`{"text":"c"}`)})
	wantErr(t, err, `"text"`, "is no field")
}

// TestFingerprintOfColumns: two choices of columns are two representations,
// also of no rows.
func TestFingerprintOfColumns(t *testing.T) {
	token := func(opts ...core.Option) string {
		r := newItems(t, core.Config{})
		b := core.Bind("items", r.table, opts...)
		r.start(t, b)
		defer r.stop(t)
		return b.Version().Token
	}
	all, some, fewer := token(), token(core.Columns("id", "name")), token(core.Columns("id"))
	if all == some || some == fewer || all == fewer {
		t.Error("tokens of different columns are equal")
	}
	if token(core.Columns("name", "id")) != some {
		t.Error("tokens of the same columns differ")
	}
}

// loose encodes as whatever it holds.
type loose struct {
	ID  int             `json:"id"`
	A   int             `json:"a"`
	Odd int             `json:"<ö>"`
	Raw json.RawMessage `json:"-"`
}

func (l loose) MarshalJSON() ([]byte, error) { return l.Raw, nil }

// TestColumnsOfAnyJSON: of any object exactly the listed members are shown, as
// they were and in their order.
func TestColumnsOfAnyJSON(t *testing.T) {
	texts := []string{"", "a", "b", "id", `"`, `\`, `},{`, `":[`, "é", "\n", "<ö>", "  "}
	value := func(t *rapid.T) any {
		var draw func(depth int) any
		draw = func(depth int) any {
			switch n := rapid.IntRange(0, 6).Draw(t, "kind"); {
			case n == 0:
				return nil
			case n == 1:
				return rapid.Bool().Draw(t, "bool")
			case n == 2:
				return rapid.Float64Range(-1e6, 1e6).Draw(t, "number")
			case n == 3 || depth == 0:
				return rapid.SampledFrom(texts).Draw(t, "text")
			case n == 4:
				list := []any{}
				for range rapid.IntRange(0, 3).Draw(t, "length") {
					list = append(list, draw(depth-1))
				}
				return list
			default:
				object := map[string]any{}
				for range rapid.IntRange(0, 3).Draw(t, "members") {
					object[rapid.SampledFrom(texts).Draw(t, "name")] = draw(depth - 1)
				}
				return object
			}
		}
		return draw(3)
	}
	table := coretest.NewTable[loose]("loose", "id")
	r := newItems(t, core.Config{})
	chosen := []string{"id", "a", "<ö>"}
	b := core.Bind("chosen", table, core.Columns(chosen...))
	r.start(t, b)
	defer r.stop(t)
	rapid.Check(t, func(t *rapid.T) {
		object := map[string]any{}
		for _, name := range texts {
			if rapid.Bool().Draw(t, "has "+name) {
				object[name] = value(t)
			}
		}
		var buf bytes.Buffer
		enc := json.NewEncoder(&buf)
		enc.SetEscapeHTML(rapid.Bool().Draw(t, "escaped"))
		if err := enc.Encode(object); err != nil {
			t.Fatal(err)
		}
		raw := buf.Bytes()
		if rapid.Bool().Draw(t, "oddly named") { // another way to write "a"
			raw = bytes.Replace(raw, []byte(`"a":`), []byte(`"\u0061":`), 1)
		}
		r.report(t, table.Put(loose{ID: 1, Raw: raw}))
		row, _ := b.Snapshot().Get(key(1))
		var got map[string]any
		if err := json.Unmarshal(row.JSON(), &got); err != nil {
			t.Fatalf("%s of %s: %v", row.JSON(), raw, err)
		}
		maps.DeleteFunc(object, func(name string, _ any) bool { return !slices.Contains(chosen, name) })
		want, _ := json.Marshal(object)
		if again, _ := json.Marshal(got); !bytes.Equal(again, want) {
			t.Fatalf("%s of %s, want %s", row.JSON(), raw, want)
		}
	})
	change := table.Put(loose{ID: 1, Raw: json.RawMessage(`[1]`)})
	done := make(chan error, 1)
	go func() { done <- r.source.Report(r.ctx, change) }()
	await(t, "an error of the read", func() bool { return b.Status().Err != nil })
	wantErr(t, b.Status().Err, `"chosen"`, `"1"`, "JSON objects")
	table.Put(loose{ID: 1, Raw: json.RawMessage(`{}`)})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestVersionIsWhatIsShown: under random changes the version moves exactly when
// what clients see does.
func TestVersionIsWhatIsShown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newItems(t, core.Config{})
		bindings := []*core.Binding[item]{
			core.Bind("projected", r.table, core.Columns("id", "name"), core.OrderBy("price")),
			core.Bind("serialized", r.table, core.Serialize(labelOf), core.Where(filter.Eq("live", true))),
		}
		r.start(t, bindings[0], bindings[1])
		defer r.stop(t)
		type state struct{ token, body string }
		last := make([]state, len(bindings))
		for i, b := range bindings {
			last[i] = state{b.Version().Token, body(b)}
		}
		for range rapid.IntRange(1, 20).Draw(t, "changes") {
			id := rapid.IntRange(1, 3).Draw(t, "id")
			if rapid.IntRange(0, 4).Draw(t, "delete") == 0 {
				r.report(t, r.table.Remove(key(id)))
			} else {
				r.report(t, r.table.Put(item{
					ID: id, Price: rapid.IntRange(0, 2).Draw(t, "price"), Live: rapid.Bool().Draw(t, "live"),
					Name: rapid.SampledFrom([]string{"a", "A", "b"}).Draw(t, "name"),
				}))
			}
			for i, b := range bindings {
				now := state{b.Version().Token, body(b)}
				// The projection's order key is content as well: there a move
				// past nobody is a version, though the list is the same.
				if now.body != last[i].body && now.token == last[i].token {
					t.Fatalf("%s: %s and %s have one version", b.Name(), last[i].body, now.body)
				}
				if i == 1 && now.body == last[i].body && now.token != last[i].token {
					t.Fatalf("%s: %s has two versions", b.Name(), now.body)
				}
				last[i] = now
			}
		}
	})
}

// BenchmarkShown has one changed row read, encoded and published, as clients are
// to see it.
func BenchmarkShown(b *testing.B) {
	for _, c := range []struct {
		name string
		opts []core.Option
	}{
		{"model", nil},
		{"columns", []core.Option{core.Columns("id", "name", "price")}},
		{"serializer", []core.Option{core.Serialize(labelOf)}},
	} {
		b.Run(c.name, func(b *testing.B) {
			r, _ := benchRig(b, 1_000, c.opts...)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				r.report(b, r.table.Put(item{ID: i % 1_000, Name: strings.Repeat("x", i%50), Price: i}))
			}
		})
	}
}
