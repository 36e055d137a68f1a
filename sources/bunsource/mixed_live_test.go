package bunsource_test

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"

	"github.com/uptrace/bun"
	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/sources/bunsource"
)

// oddment has columns in which SQLite keeps whatever it is given. NaN has no
// JSON.
type oddment struct {
	bun.BaseModel `bun:"table:oddments"`
	ID            int64   `bun:",pk" json:"id"`
	Flag          bool    `bun:",notnull" json:"flag"`
	Size          float64 `bun:",notnull" json:"-"`
	Word          string  `bun:",notnull" json:"word"`
	Raw           []byte  `bun:",notnull" json:"raw"`
}

// Values of other storage classes come and go while bindings are live, and at no
// time does one show other rows than SQLite selects.
func TestBindingsAgreeWithSQLiteOnMixedClasses(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		db, _ := openSQLite(t)
		defer db.Close()
		run := func(query string) {
			if _, err := db.ExecContext(t.Context(), query); err != nil {
				rt.Fatalf("%s: %v", query, err)
			}
		}
		run(`CREATE TABLE oddments (id INTEGER PRIMARY KEY, flag BOOLEAN NOT NULL, size REAL NOT NULL, word TEXT NOT NULL, raw BLOB NOT NULL)`)
		conditions := map[string]filter.Expr{
			`flag <> 0`: filter.Eq("flag", true), `NOT (flag <> 0)`: filter.Eq("flag", false),
			`size < 1.5`: filter.Lt("size", 1.5), `size >= 1.5`: filter.Ge("size", 1.5), `size <> 1`: filter.Ne("size", 1.0),
			`word = 'a'`: filter.Eq("word", "a"), `word > 'a'`: filter.Gt("word", "a"), `word <> 'a'`: filter.Ne("word", "a"),
			`raw = X'61'`: filter.Eq("raw", []byte("a")), `raw >= X'61'`: filter.Ge("raw", []byte("a")),
		}
		bindings := make(map[string]*core.Binding[oddment])
		reg := core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}.NewRegistry()
		for where, e := range conditions {
			bindings[where] = bunsource.Bind[oddment](db, fmt.Sprint("b", len(bindings)), core.Where(e))
			must(t, reg.Add(bindings[where]))
		}
		must(t, reg.Watch(bunsource.Hooks(db)))
		must(t, reg.Start(t.Context()))
		defer shutdown(t, reg)
		for _, v := range reg.Views() {
			<-v.Loaded()
		}
		for range rapid.IntRange(1, 8).Draw(rt, "writes") {
			id := rapid.IntRange(1, 4).Draw(rt, "id")
			if rapid.IntRange(0, 3).Draw(rt, "delete") == 0 {
				run(fmt.Sprint(`DELETE FROM oddments WHERE id >= `, id))
			} else {
				run(fmt.Sprintf(`INSERT OR REPLACE INTO oddments VALUES (%d, %s, %s, %s, %s)`, id,
					rapid.SampledFrom([]string{"0", "1", "1", "2", "'f'", "'true'"}).Draw(rt, "flag"),
					rapid.SampledFrom([]string{"1", "1.5", "2", "'NaN'"}).Draw(rt, "size"),
					rapid.SampledFrom([]string{"'a'", "'b'", "X'61'", "X'62'"}).Draw(rt, "word"),
					rapid.SampledFrom([]string{"X'61'", "X'62'", "'a'", "'b'"}).Draw(rt, "raw")))
			}
			must(t, reg.Flush(t.Context()))
			for where, b := range bindings {
				var want []int64
				must(t, db.NewSelect().Table("oddments").Column("id").Where(where).Order("id").Scan(t.Context(), &want))
				var got []int64
				for row := range b.All() {
					got = append(got, row.ID)
				}
				slices.Sort(got)
				if !slices.Equal(got, want) {
					rt.Fatalf("where %s, the binding shows %v, SQLite selects %v", where, got, want)
				}
			}
		}
	})
}
