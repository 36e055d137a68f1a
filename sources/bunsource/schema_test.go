package bunsource

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/sourcetest/buntest"
)

type (
	stamps struct {
		CreatedAt time.Time `bun:",notnull" json:"created"`
		Hidden    string    `json:"-"`
	}
	address struct {
		City string `json:"city"`
	}
	author struct {
		bun.BaseModel `bun:"table:authors"`
		ID            int64   `bun:",pk"`
		Books         []*book `bun:"rel:has-many,join:id=author_id"`
	}
	book struct {
		bun.BaseModel `bun:"table:library.Books,alias:b"`
		stamps
		Shelf    string            `bun:"Shelf,pk" json:"shelf"`
		Number   int32             `bun:",pk"`
		AuthorID int64             `json:"author_id,omitempty"`
		Author   *author           `bun:"rel:belongs-to,join:author_id=id" json:"author,omitempty"`
		Title    sql.NullString    `json:",omitempty"`
		Tags     []string          `bun:",array"`
		Extra    map[string]any    `bun:"type:json"`
		Computed int64             `bun:",scanonly"`
		Ignored  chan int          `bun:"-"`
		Address  address           `bun:"embed:address_"`
		Labels   map[string]string `json:"labels"`
	}
)

func TestSchema(t *testing.T) {
	s, err := NewLoader[book](buntest.Offline(t, sqlitedialect.New())).Schema()
	if err != nil {
		t.Fatal(err)
	}
	if want := (driver.Table{Schema: "library", Name: "Books"}); s.Table != want {
		t.Errorf("table %v, want %v", s.Table, want)
	}
	if got := fmt.Sprint(s.Key); got != "[Shelf number]" {
		t.Errorf("key %s", got)
	}
	var got []string
	for _, c := range s.Columns {
		got = append(got, fmt.Sprintf("%s=%s %v", c.Name, c.JSON, c.Kind))
	}
	want := []string{
		"created_at=created time", "hidden= text", "Shelf=shelf text", "number=Number int", "author_id=author_id int",
		"title=Title text", "tags=Tags opaque", "extra=Extra opaque", "address_city= text", "labels=labels opaque",
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("columns:\n%s\nwant:\n%s", g, w)
	}
}

func TestModelErrors(t *testing.T) {
	type keyless struct {
		bun.BaseModel `bun:"table:keyless"`
		Name          string
	}
	type broken struct {
		Code  int64   `bun:",pk"`
		Other *author `bun:"rel:belongs-to"`
	}
	db := buntest.Offline(t, sqlitedialect.New())
	check := func(name string, want string, schema func() (driver.Schema, error)) {
		t.Helper()
		_, err := schema()
		if err == nil || !strings.HasPrefix(err.Error(), "bunsource: reading model ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want it to say %q", name, err, want)
		}
	}
	check("without a key", `table "keyless" has no primary key`, NewLoader[keyless](db).Schema)
	check("an int", `"int": a binding needs a struct, not a int`, NewLoader[int](db).Schema)
	check("a pointer", `"*bunsource.author"`, NewLoader[*author](db).Schema)
	check("a relation without a column", `broken`, NewLoader[broken](db).Schema)
	check("no database", `*bun.DB is nil`, NewLoader[author](nil).Schema)

	// The other methods say the same, and do not panic.
	l := NewLoader[keyless](db)
	if _, err := l.Load(t.Context(), nil); err == nil {
		t.Error("Load: no error")
	}
	if _, _, err := openedIn(t.Context(), l); err == nil {
		t.Error("Snapshot: no error")
	}
	if err := l.refine(t.Context()); err == nil {
		t.Error("Prepare: no error")
	}
	if v := l.Value(&keyless{}, 0); !v.IsNull() {
		t.Errorf("Value: %v", v)
	}
}

// Everything that a model may contain is read, and its values are what the
// database holds.
func TestValues(t *testing.T) {
	type everything struct {
		bun.BaseModel `bun:"table:everything"`
		ID            int64 `bun:",pk"`
		Bool          bool
		Int8          int8
		Uint16        uint16
		Float32       float32
		Float64       *float64
		Text          string
		Bytes         []byte
		Time          time.Time
		NullString    sql.NullString
		NullInt       sql.NullInt64
		NullBool      sql.NullBool
		Zero          int64 `bun:",nullzero"`
		Custom        customID
		Map           map[string]int
		Raw           json.RawMessage
		Any           any
		Pointer       *int32
	}
	at := time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)
	half, seven := 0.5, int32(7)
	full := everything{
		ID: 1, Bool: true, Int8: -8, Uint16: 16, Float32: 0.25, Float64: &half, Text: "t", Bytes: []byte{1}, Time: at,
		NullString: sql.NullString{String: "s", Valid: true}, NullInt: sql.NullInt64{Int64: 5, Valid: true}, NullBool: sql.NullBool{Bool: true, Valid: true},
		Zero: 3, Custom: customID{9}, Map: map[string]int{"b": 1, "a": 2}, Raw: json.RawMessage(`{"x":1}`), Any: "any", Pointer: &seven,
	}
	l := NewLoader[everything](buntest.Offline(t, sqlitedialect.New()))
	s, err := l.Schema()
	if err != nil {
		t.Fatal(err)
	}
	get := func(row *everything, name string) value.Value { return l.Value(row, s.Column(name)) }
	for name, want := range map[string]string{
		"id": "1", "bool": "true", "int8": "-8", "uint16": "16", "float32": "0.25", "float64": "0.5", "text": "t", "bytes": "01",
		"time": "2024-03-01T12:00:00Z", "null_string": "s", "null_int": "5", "null_bool": "true", "zero": "3", "custom": "ID-9",
		"map": `{"a":2,"b":1}`, "raw": `{"x":1}`, "any": "any", "pointer": "7",
	} {
		if got := get(&full, name).String(); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	var empty everything
	for _, name := range []string{"float64", "bytes", "null_string", "null_int", "null_bool", "zero", "map", "raw", "any", "pointer"} {
		if got := get(&empty, name); !got.IsNull() {
			t.Errorf("%s of an empty row: %v, want NULL", name, got)
		}
	}
	for _, name := range []string{"id", "bool", "float32", "text", "time"} {
		if get(&empty, name).IsNull() {
			t.Errorf("%s of an empty row is NULL", name)
		}
	}
	for _, name := range []string{"bool", "int8", "uint16", "float32", "text", "time", "bytes", "null_string", "null_int"} {
		if n := testing.AllocsPerRun(100, func() { get(&full, name) }); n > 1 {
			t.Errorf("%s: %v allocations per value", name, n)
		}
	}
	for _, out := range []int{-1, len(s.Columns)} {
		if v := l.Value(&full, out); !v.IsNull() {
			t.Errorf("column %d: %v", out, v)
		}
	}
}

// A field that shows NULL as its zero value makes Go see another row than the
// database does.
func TestUntoldNullsAreNotExact(t *testing.T) {
	type nulls struct {
		bun.BaseModel `bun:"table:nulls"`
		ID            int64   `bun:",pk"`
		Plain         int64   // may be NULL
		Certain       int64   `bun:",notnull"`
		Pointer       *int64  // tells
		Zeroed        int64   `bun:",nullzero"`
		Valid         *string `bun:",nullzero"`
	}
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		createTable[nulls](t, db)
		mustExec(t, db, "INSERT INTO nulls (id, certain) VALUES (1, 0)")
		l := preparedLoader[nulls](t, db)
		s, _ := l.Schema()
		for name, want := range map[string]bool{"id": true, "plain": false, "certain": true, "pointer": true, "zeroed": false} {
			c := s.Columns[s.Column(name)]
			if got := c.Exact&filter.ExactEqual != 0; got != want {
				t.Errorf("%s: exact is %v, want %v (%+v)", name, got, want, c)
			}
		}
		row := loadAll(t, l)[0]
		for name, null := range map[string]bool{"plain": false, "certain": false, "pointer": true, "zeroed": true, "valid": true} {
			if v := l.Value(row, s.Column(name)); v.IsNull() != null {
				t.Errorf("%s: %v", name, v)
			}
		}
	})
}
