package core_test

import (
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
)

func TestWrite(t *testing.T) {
	r := newItems(t, core.Config{})
	r.table.Put(item{ID: 1, Name: "a", Price: 5, Live: true}, item{ID: 2, Name: "hidden"})
	confined := core.Bind("confined", r.table, core.Where(filter.Eq("live", true)), core.Writable())
	leaving := core.Bind("leaving", r.table, core.Where(filter.Eq("live", true)), core.Writable(core.WriteRules{RowsMayLeave: true}))
	plain := core.Bind("plain", r.table)
	r.start(t, confined, leaving, plain)
	defer r.stop(t)

	write := func(b *core.Binding[item], op live.WriteOp, id int, body string) (live.Row, error) {
		return b.Write(r.ctx, live.Write{Op: op, Key: key(id), Body: []byte(body)})
	}
	for _, c := range []struct {
		what string
		b    *core.Binding[item]
		op   live.WriteOp
		id   int
		body string
		is   error
		says []string
	}{
		{"not writable", plain, live.Merge, 1, `{}`, live.ErrNotWritable, nil},
		{"unknown key", confined, live.Merge, 9, `{}`, live.ErrNoRow, nil},
		{"row outside", confined, live.Delete, 2, ``, live.ErrNoRow, nil},
		{"row outside, leaving allowed", leaving, live.Merge, 2, `{"live":true}`, live.ErrNoRow, nil},
		{"leaves", confined, live.Merge, 1, `{"live":false}`, nil, []string{"confined"}},
		{"inserted outside", confined, live.Insert, 0, `{"id":3,"name":"x","price":1,"live":false}`, nil, []string{"confined"}},
		{"unknown field", confined, live.Merge, 1, `{"prise":1,"nom":2}`, nil, []string{`"nom"`, `"prise"`}},
		{"null", confined, live.Merge, 1, `{"name":null}`, nil, []string{`"name"`, "null"}},
		{"types", confined, live.Merge, 1, `{"name":3,"price":"dear"}`, nil, []string{`"name"`, `"price"`, "number", "string"}},
		{"range", confined, live.Merge, 1, `{"price":1e300}`, nil, []string{`"price"`, "range"}},
		{"missing", confined, live.Replace, 1, `{"name":"b"}`, nil, []string{`"price"`, `"live"`}},
		{"other key", confined, live.Merge, 1, `{"id":7}`, nil, []string{`"id"`, "path"}},
		{"taken", confined, live.Insert, 0, `{"id":1,"name":"x","price":1,"live":true}`, nil, []string{`"id"`, "taken"}},
	} {
		_, err := write(c.b, c.op, c.id, c.body)
		var invalid *driver.InvalidError
		switch {
		case c.is != nil && !errors.Is(err, c.is):
			t.Errorf("%s: %v, want %v", c.what, err, c.is)
		case c.is == nil && !errors.As(err, &invalid):
			t.Errorf("%s: %v, want an InvalidError", c.what, err)
		case c.is == nil:
			wantErr(t, err, c.says...)
		}
	}
	for _, body := range []string{``, `null`, `[1]`, `"x"`, `{"a"`, `{} {}`, `{"id":1}x`} {
		var malformed *live.MalformedError
		if _, err := write(confined, live.Merge, 1, body); !errors.As(err, &malformed) {
			t.Errorf("body %q: %v, want a MalformedError", body, err)
		}
	}
	if rows := r.table.Rows(); len(rows) != 2 || rows[key(1)].Name != "a" || !rows[key(1)].Live {
		t.Fatalf("refused writes left %v", rows)
	}

	row, err := write(confined, live.Merge, 1, `{"name":"b","id":1}`)
	if err != nil {
		t.Fatal(err)
	}
	shown, _ := confined.Snapshot().Get(key(1))
	if string(row.JSON()) != string(shown.JSON()) || row.Token() != shown.Token() {
		t.Errorf("answered %s %s, the binding shows %s %s", row.JSON(), row.Token(), shown.JSON(), shown.Token())
	}
	if _, err := write(confined, live.Insert, 0, `{"id":3,"name":"c","price":2,"live":true}`); err != nil {
		t.Error(err)
	}
	if got, _ := confined.Get(key(3)); got.Name != "c" {
		t.Errorf("after Insert: %+v", got)
	}
	if _, err := write(confined, live.Replace, 3, `{"name":"d","price":9,"live":true}`); err != nil {
		t.Error(err)
	}
	row, err = write(leaving, live.Merge, 3, `{"live":false}`)
	var left item
	if err != nil || json.Unmarshal(row.JSON(), &left) != nil || left != (item{ID: 3, Name: "d", Price: 9}) {
		t.Errorf("leaving: %s %v", row.JSON(), err)
	}
	if _, ok := leaving.Get(key(3)); ok {
		t.Error("a row that left is shown")
	}
	if _, err := write(confined, live.Delete, 1, ``); err != nil {
		t.Error(err)
	}
	if len(ids(confined)) != 0 {
		t.Errorf("rows after Delete: %v", ids(confined))
	}
}

// TestWriteMatch: of many writers that saw the same version, one wins.
func TestWriteMatch(t *testing.T) {
	r := newItems(t, core.Config{})
	r.table.Put(item{ID: 1})
	b := core.Bind("items", r.table, core.Writable())
	r.start(t, b)
	defer r.stop(t)
	seen, _ := b.Snapshot().Get(key(1))
	token := seen.Token()
	var wg sync.WaitGroup
	results := make(chan error, 8)
	for range 8 {
		wg.Go(func() {
			_, err := b.Write(r.ctx, live.Write{
				Op: live.Merge, Key: key(1), Body: []byte(`{"price":1}`),
				Match: func(r live.Row) bool { return r.Token() == token },
			})
			results <- err
		})
	}
	wg.Wait()
	close(results)
	won := 0
	for err := range results {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, live.ErrPrecondition):
			t.Errorf("%v, want ErrPrecondition", err)
		}
	}
	if won != 1 {
		t.Errorf("%d writers won", won)
	}
	_, err := b.Write(r.ctx, live.Write{
		Op: live.Merge, Key: key(1), Body: []byte(`{"price":2}`),
		Validate: func(row any) error {
			if row.(*item).Price == 2 {
				return errors.New("two is unlucky")
			}
			return nil
		},
	})
	wantErr(t, err, "unlucky")
}

// TestWriteNull: null sets a field that is no pointer to what NULL is read as.
func TestWriteNull(t *testing.T) {
	type note struct {
		ID   int     `json:"id"`
		Text *string `json:"text"`
		Blob []byte  `json:"blob"`
		At   any     `json:"at"`
	}
	table := coretest.NewTable[note]("notes", "id")
	text := "x"
	table.Put(note{ID: 1, Text: &text, Blob: []byte("b"), At: 5.0})
	r := newItems(t, core.Config{})
	b := core.Bind("notes", table, core.Writable())
	r.start(t, b)
	defer r.stop(t)
	if _, err := b.Write(r.ctx, live.Write{Op: live.Merge, Key: key(1), Body: []byte(`{"blob":null}`)}); err != nil {
		t.Fatal(err)
	}
	if n, _ := b.Get(key(1)); n.Blob != nil || n.Text == nil {
		t.Errorf("after null: %+v", n)
	}
	if _, err := b.Write(r.ctx, live.Write{Op: live.Replace, Key: key(1), Body: []byte(`{"blob":"eA=="}`)}); err != nil {
		t.Fatal(err)
	}
	if n, _ := b.Get(key(1)); string(n.Blob) != "x" || n.Text != nil || n.At != nil {
		t.Errorf("after a replacement: %+v", n)
	}
}

// TestWriteNested: a merge goes into the objects of a row, a replacement leaves
// nothing of them.
func TestWriteNested(t *testing.T) {
	type size struct {
		Width  int  `json:"width"`
		Height *int `json:"height,omitempty"`
	}
	type thing struct {
		ID   int             `json:"id"`
		Size size            `json:"size"`
		Tags map[string]any  `json:"tags"`
		Raw  json.RawMessage `json:"raw"`
		List []int           `json:"list"`
	}
	height := 3
	was := thing{
		ID: 1, Size: size{2, &height}, Tags: map[string]any{"a": "x", "deep": map[string]any{"b": 1.0, "c": 2.0}},
		Raw: json.RawMessage(`{"big":12345678901234567890,"gone":1}`), List: []int{1, 2},
	}
	for _, c := range []struct {
		op         live.WriteOp
		body, want string
	}{
		{
			live.Merge, `{"size":{"width":5},"tags":{"a":null,"deep":{"b":9,"d":[]}},"raw":{"gone":null,"new":{"x":null}},"list":[3]}`,
			`{"id":1,"size":{"width":5,"height":3},"tags":{"deep":{"b":9,"c":2,"d":[]}},"raw":{"big":12345678901234567890,"new":{}},"list":[3]}`,
		},
		{
			live.Merge, `{"tags":{"deep":"flat"},"raw":[1],"size":{"height":null}}`,
			`{"id":1,"size":{"width":2},"tags":{"a":"x","deep":"flat"},"raw":[1],"list":[1,2]}`,
		},
		{live.Merge, `{"size":{}}`, `{"id":1,"size":{"width":2,"height":3},"tags":{"a":"x","deep":{"b":1,"c":2}},"raw":{"big":12345678901234567890,"gone":1},"list":[1,2]}`},
		{
			live.Replace, `{"size":{"width":7},"tags":{"n":null},"raw":{},"list":[]}`,
			`{"id":1,"size":{"width":7},"tags":{"n":null},"raw":{},"list":[]}`,
		},
	} {
		table := coretest.NewTable[thing]("things", "id")
		table.Put(was)
		r := newItems(t, core.Config{})
		b := core.Bind("things", table, core.Writable())
		r.start(t, b)
		row, err := b.Write(r.ctx, live.Write{Op: c.op, Key: key(1), Body: []byte(c.body)})
		if err != nil || string(row.JSON()) != c.want {
			t.Errorf("%s:\n got %s, %v\nwant %s", c.body, row.JSON(), err, c.want)
		}
		_, err = b.Write(r.ctx, live.Write{Op: live.Merge, Key: key(1), Body: []byte(`{"size":{"width":"wide"},"list":{}}`)})
		wantErr(t, err, `"size"`, `"list"`)
		r.stop(t)
	}
}

// TestWriteTellsAllAtOnce: whatever is wrong with a body, by field.
func TestWriteTellsAllAtOnce(t *testing.T) {
	r := newItems(t, core.Config{})
	b := core.Bind("items", r.table, core.Writable())
	r.start(t, b)
	defer r.stop(t)
	_, err := b.Write(r.ctx, live.Write{Op: live.Insert, Body: []byte(`{"prise":1,"id":"one","price":"dear","name":null}`)})
	var invalid *driver.InvalidError
	if !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	var fields []string
	for _, f := range invalid.Fields {
		fields = append(fields, f.Field)
	}
	if want := []string{"id", "live", "name", "price", "prise"}; !slices.Equal(fields, want) {
		t.Errorf("told of %q, want %q", fields, want)
	}
}
