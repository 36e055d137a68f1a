package bunsource_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/pgsource"
	"github.com/binderyhq/bindery/sources/sourcetest/buntest"
	"github.com/binderyhq/bindery/sources/sqlitesource"
)

// spelled is a row whose key and whose other column have many spellings.
type spelled[K any] struct {
	bun.BaseModel `bun:"table:spelled,alias:s"`
	ID            K     `bun:",pk" json:"id"`
	Ref           K     `bun:",notnull" json:"ref"`
	N             int64 `bun:",notnull" json:"n"`
}

// spelling is a kind of column with spellings of one value, and one of another.
type spelling struct {
	name, sqlType string
	same          []string
	other         string
	// run is the test for the Go type.
	run func(t *testing.T, s spelling, w spellingWorld)
}

type spellingWorld struct {
	db, writer *bun.DB
	source     driver.Source
}

var (
	uuidSpellings = []string{
		"6f1c8f2e-6f0e-4b9a-9d3a-0123456789ab", "6F1C8F2E-6F0E-4B9A-9D3A-0123456789AB",
		"{6F1C8F2E-6F0E-4B9A-9D3A-0123456789AB}", "6f1c8f2e6f0e4b9a9d3a0123456789ab",
	}
	sqliteInstants = []string{
		"2024-02-29 12:00:00.500000", // SQLAlchemy, Rails
		"2024-02-29 12:00:00.5",
		"2024-02-29T12:00:00.500000",       // isoformat
		"2024-02-29T12:00:00.500000+00:00", // isoformat with a zone
		"2024-02-29T14:00:00.500+02:00",
		"2024-02-28 22:30:00.5-13:30",
		"2024-02-29T12:00:00.500Z",
		"2024-02-29 12:00:00.500000+00:00", // Bun
		"2024-02-29 12:00:00.5 +0000 UTC",
		"2024-02-29 14:00:00.5 +0200 CEST",
	}
	sqliteDays = []string{"2024-02-29", "2024-02-29 00:00:00", "2024-02-29 00:00:00.000000", "2024-02-29T00:00:00", "2024-02-29T00:00:00+00:00", "2024-02-29 00:00"}
	pgInstants = []string{"2024-02-29 12:00:00.5+00", "2024-02-29T12:00:00.500Z", "2024-02-29T14:00:00.500000+02:00", "2024-02-29 14:00:00.5+02"}
)

func TestOneValueOneSpellingOnPostgres(t *testing.T) {
	other := "00000000-0000-0000-0000-000000000000"
	for _, s := range []spelling{
		{"uuid as text", "uuid", uuidSpellings, other, spellingOf[string]},
		{"uuid", "uuid", uuidSpellings, other, spellingOf[uuid.UUID]},
		{"date as text", "date", []string{"2024-02-29", "2024-02-29T00:00:00Z"}, "2024-03-01", spellingOf[string]},
		{"date", "date", []string{"2024-02-29", "2024-02-29T00:00:00Z"}, "2024-03-01", spellingOf[time.Time]},
		{"timestamptz as text", "timestamptz", pgInstants, "2024-03-01T00:00:00Z", spellingOf[string]},
		{"timestamptz", "timestamptz", pgInstants, "2024-03-01T00:00:00Z", spellingOf[time.Time]},
		{"timestamp as text", "timestamp", []string{"2024-02-29 12:00:00.5", "2024-02-29T12:00:00.500"}, "2024-03-01T00:00:00Z", spellingOf[string]},
		{"numeric as text", "numeric", []string{"1.5", "1.50", "15e-1"}, "1.51", spellingOf[string]},
		{"bigint as text", "bigint", []string{"7", "07"}, "8", spellingOf[string]},
		{"bigint", "bigint", []string{"7", "07"}, "8", spellingOf[int64]},
		{"char", "char(4)", []string{"ab", "ab  "}, "abc", spellingOf[string]},
		{"inet", "inet", []string{"10.0.0.1", "10.0.0.1/32"}, "10.0.0.2", spellingOf[string]},
		{"inet, v6", "inet", []string{"::1", "0:0:0:0:0:0:0:1", "::1/128"}, "::2", spellingOf[string]},
		{"time", "time", []string{"12:00", "12:00:00", "12:00:00.000"}, "12:01", spellingOf[string]},
		{"text", "text", []string{"Ab "}, "ab", spellingOf[string]},
	} {
		t.Run(s.name, func(t *testing.T) {
			create := `CREATE TABLE spelled (id ` + s.sqlType + ` PRIMARY KEY, ref ` + s.sqlType + ` NOT NULL, n bigint NOT NULL)`
			t.Run("hooks", func(t *testing.T) {
				db, plain := openPostgres(t)
				mustRun(t, plain, create)
				s.run(t, s, spellingWorld{plain, db, bunsource.Hooks(db)})
			})
			t.Run("log", func(t *testing.T) {
				dsn := postgresDSN(t)
				plain := openPlain(t, "pgx", dsn)
				mustRun(t, plain, create)
				s.run(t, s, spellingWorld{plain, plain, pgsource.New(dsn)})
			})
			t.Run("triggers", func(t *testing.T) {
				dsn := postgresDSN(t)
				plain := openPlain(t, "pgx", dsn)
				mustRun(t, plain, create)
				must(t, pgsource.Outbox{}.Install(t.Context(), dsn, driver.Table{Name: "spelled"}))
				s.run(t, s, spellingWorld{plain, plain, pgsource.NewTriggers(dsn)})
			})
		})
	}
}

func TestOneValueOneSpellingOnSQLite(t *testing.T) {
	for _, s := range []spelling{
		{"datetime", "DATETIME", sqliteInstants, "2024-02-29 12:00:00.500001", spellingOf[time.Time]},
		{"timestamp", "TIMESTAMP", sqliteInstants, "2024-02-29 12:00:00.499999", spellingOf[time.Time]},
		{"datetime as text", "DATETIME", sqliteInstants, "2024-02-29 12:00:00.500001", spellingOf[string]},
		{"date", "DATE", sqliteDays, "2024-03-01", spellingOf[time.Time]},
		{"date as text", "DATE", sqliteDays, "2024-03-01", spellingOf[string]},
		{"times in text", "TEXT", sqliteInstants, "2024-02-29 12:00:00.500001", spellingOf[time.Time]},
		{"integer", "INTEGER", []string{"7", "07"}, "8", spellingOf[int64]},
		{"text", "TEXT", []string{"Ab "}, "ab", spellingOf[string]},
	} {
		t.Run(s.name, func(t *testing.T) {
			create := `CREATE TABLE spelled (id ` + s.sqlType + ` NOT NULL PRIMARY KEY, ref ` + s.sqlType + ` NOT NULL, n INTEGER NOT NULL)`
			t.Run("hooks", func(t *testing.T) {
				db, plain := openSQLite(t)
				mustRun(t, plain, create)
				s.run(t, s, spellingWorld{plain, db, bunsource.Hooks(db)})
			})
			t.Run("its own hooks", func(t *testing.T) {
				dsn := sqliteDSN(t)
				source, err := sqlitesource.New(dsn)
				must(t, err)
				db := bun.NewDB(sql.OpenDB(source.Connector()), sqlitedialect.New())
				t.Cleanup(func() { db.Close() })
				plain := openPlain(t, "sqlite", dsn)
				mustRun(t, plain, create)
				s.run(t, s, spellingWorld{plain, db, source})
			})
		})
	}
}

// spellingOf stores the value in each spelling, and looks for it by each: in
// filters, parameters, keys from outside, and by what the source reports of
// statements that name it so.
func spellingOf[K any](t *testing.T, s spelling, w spellingWorld) {
	reg := core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}.NewRegistry()
	must(t, reg.Add(
		bunsource.Bind[spelled[K]](w.db, "all"),
		bunsource.BindFamily[spelled[K]](w.db, "by_ref", core.Where(filter.Eq("ref", filter.Param("ref")))),
		bunsource.BindFamily[spelled[K]](w.db, "by_id", core.Where(filter.Eq("id", filter.Param("id")))),
	))
	for i, text := range s.same {
		must(t, reg.Add(
			bunsource.Bind[spelled[K]](w.db, fmt.Sprint("eq", i), core.Where(filter.Eq("ref", text))),
			bunsource.Bind[spelled[K]](w.db, fmt.Sprint("in", i), core.Where(filter.In("id", text, s.other))),
			bunsource.Bind[spelled[K]](w.db, fmt.Sprint("ne", i), core.Where(filter.Ne("ref", text))),
			bunsource.Bind[spelled[K]](w.db, fmt.Sprint("le", i), core.Where(filter.And(filter.Le("id", text), filter.Ge("id", text)))),
		))
	}
	must(t, reg.Watch(w.source))
	must(t, reg.Start(t.Context()))
	t.Cleanup(func() { shutdown(t, reg) })
	view := func(name string) interface{ Len() int } {
		v, ok := reg.Lookup(name)
		if !ok {
			t.Fatalf("no binding %s", name)
		}
		<-v.Loaded()
		return v
	}
	all, _ := reg.Lookup("all")
	<-all.Loaded()
	quote := func(text string) string { return "'" + text + "'" }
	for _, stored := range s.same {
		mustRun(t, w.writer, `INSERT INTO spelled VALUES (`+quote(stored)+`, `+quote(stored)+`, 0)`)
		for i, text := range s.same {
			for name, want := range map[string]int{"eq": 1, "in": 1, "le": 1, "ne": 0} {
				buntest.Eventually(t, fmt.Sprintf("%s %q of %q", name, text, stored), func() error {
					view(name + "0")
					if all.Len() != 1 {
						return fmt.Errorf("the table shows %d rows", all.Len())
					}
					if n := view(fmt.Sprint(name, i)).Len(); n != want {
						return fmt.Errorf("%d rows", n)
					}
					return nil
				})
			}
			for _, column := range []string{"id", "ref"} {
				for _, args := range []core.Args{
					core.TextArgs(map[string]string{column: text}),
					core.JSONArgs(map[string]json.RawMessage{column: json.RawMessage(fmt.Sprintf("%q", text))}),
					{column: text},
				} {
					g, err := reg.Open(t.Context(), "by_"+column, args)
					if err != nil {
						t.Fatalf("%s = %q: %v", column, text, err)
					}
					<-g.View().Loaded()
					buntest.Eventually(t, fmt.Sprintf("%s = %q of %q", column, text, stored), func() error {
						if n := g.View().Len(); n != 1 {
							return fmt.Errorf("%d rows", n)
						}
						return nil
					})
					g.Close()
				}
			}
			schema := all.Schema()
			for _, make := range []func() (driver.Key, error){
				func() (driver.Key, error) { return schema.ParseKey(text) },
				func() (driver.Key, error) { return schema.MakeKey(text) },
				func() (driver.Key, error) { return schema.KeyFor(text) },
			} {
				if key, err := make(); err != nil {
					t.Errorf("key %q: %v", text, err)
				} else if _, ok := all.Snapshot().Get(key); !ok {
					t.Errorf("key %q finds no row that is stored as %q", text, stored)
				}
			}
		}
		n := 0
		for _, text := range s.same {
			where := `id = ` + quote(text)
			if isSQLite(w.db) {
				where = `id = ` + quote(stored) // SQLite compares texts
			}
			mustRun(t, w.writer, `UPDATE spelled SET n = n + 1 WHERE `+where)
			n++
			buntest.Eventually(t, fmt.Sprintf("update by %q of %q", text, stored), func() error {
				for row := range all.Snapshot().Rows() {
					if !strings.Contains(string(row.JSON()), fmt.Sprintf(`"n":%d`, n)) {
						return fmt.Errorf("it shows %s, not %d", row.JSON(), n)
					}
				}
				return nil
			})
		}
		mustRun(t, w.writer, `DELETE FROM spelled WHERE id = `+quote(stored))
		buntest.Eventually(t, "the deletion of "+stored, func() error {
			if all.Len() > 0 {
				return fmt.Errorf("%d rows", all.Len())
			}
			return nil
		})
	}
}

func mustRun(t *testing.T, db *bun.DB, query string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}
