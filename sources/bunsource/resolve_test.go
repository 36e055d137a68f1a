package bunsource_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest/installed"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/sources/bunsource"
)

// label has a key in which the database does not tell cases apart.
type label struct {
	bun.BaseModel `bun:"table:labels"`
	Name          string `bun:",pk" json:"name"`
	Hidden        bool   `bun:",notnull" json:"hidden"`
}

// A key in another case names the row that the database finds by it: in URLs, and in
// statements that hooks see. Nobody learns so of a row outside of the binding.
func TestKeysThatTheDatabaseComparesLoosely(t *testing.T) {
	for name, open := range map[string]func() (db *bun.DB, create []string){
		"NOCASE": func() (*bun.DB, []string) {
			db, _ := openSQLite(t)
			return db, []string{`CREATE TABLE labels (name TEXT NOT NULL PRIMARY KEY COLLATE NOCASE, hidden BOOLEAN NOT NULL)`}
		},
		"citext": func() (*bun.DB, []string) {
			db, _ := openPostgres(t)
			return db, []string{`CREATE EXTENSION citext`, `CREATE TABLE labels (name citext PRIMARY KEY, hidden BOOLEAN NOT NULL)`}
		},
		"nondeterministic": func() (*bun.DB, []string) {
			db, _ := openPostgres(t)
			return db, []string{
				`CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`,
				`CREATE TABLE labels (name text COLLATE folded PRIMARY KEY, hidden BOOLEAN NOT NULL)`,
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			db, create := open()
			for _, statement := range create {
				if _, err := db.ExecContext(t.Context(), statement); err != nil {
					if name == "citext" && statement == create[0] {
						installed.Missing(t, fmt.Sprintf("no citext: install it (apt-get install postgresql-contrib): %v", err))
					}
					t.Fatal(err)
				}
			}
			mustRun(t, db, `INSERT INTO labels VALUES ('Foo', false), ('Bar', true)`)
			reg := core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}.NewRegistry()
			must(t, reg.Add(bunsource.Bind[label](db, "labels", core.Where(filter.Eq("hidden", false)))))
			must(t, reg.Watch(bunsource.Hooks(db)))
			must(t, reg.Start(t.Context()))
			t.Cleanup(func() { shutdown(t, reg) })
			g, err := reg.Open(t.Context(), "labels", nil)
			must(t, err)
			defer g.Close()
			<-g.View().Loaded()
			for given, want := range map[string]string{"Foo": "Foo", "foo": "Foo", "FOO": "Foo", "Bar": "Bar", "bar": "bar", "fo": "fo"} {
				if got := g.Resolve(t.Context(), driver.KeyOf(given)); got != driver.KeyOf(want) {
					t.Errorf("%q resolves to %q, not %q", given, got, want)
				}
			}
			gone, cancel := context.WithCancel(t.Context())
			cancel()
			if got := g.Resolve(gone, driver.KeyOf("FOO")); got != driver.KeyOf("FOO") {
				t.Errorf("without an answer, the key becomes %q", got)
			}
			mustRun(t, db, `DELETE FROM labels WHERE name = 'FOO'`)
			if n := g.View().Len(); n != 0 {
				t.Errorf("after the row was deleted by a key in another case, the binding shows %d rows", n)
			}
		})
	}
}
