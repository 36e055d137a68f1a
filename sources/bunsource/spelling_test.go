package bunsource_test

import (
	"database/sql"
	sqldriver "database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
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
	// stored are the spellings that the Go type can be read from, nil for all.
	stored []string
}

type spellingWorld struct {
	db, writer *bun.DB
	source     driver.Source
}

// ticket has a text form of its own, and is a number in the database.
type ticket int64

func (n ticket) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "T-%d", int64(n)), nil }

func (n *ticket) UnmarshalText(text []byte) error {
	_, err := fmt.Sscanf(strings.TrimPrefix(string(text), "T-"), "%d", (*int64)(n))
	return err
}

// shouted is shown in upper case, and stored in lower case.
type shouted struct{ text string }

func (s shouted) MarshalText() ([]byte, error) { return []byte(strings.ToUpper(s.text)), nil }

func (s *shouted) UnmarshalText(text []byte) error {
	s.text = strings.ToLower(string(text))
	return nil
}

func (s shouted) Value() (sqldriver.Value, error) { return s.text, nil }

func (s *shouted) Scan(v any) error {
	s.text = fmt.Sprintf("%s", v)
	return nil
}

// badge has a form of its own in JSON alone.
type badge int64

func (b badge) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, `"B%d"`, int64(b)), nil }

func (b *badge) UnmarshalJSON(text []byte) error {
	_, err := fmt.Sscanf(string(text), `"B%d"`, (*int64)(b))
	return err
}

var (
	other       = "00000000-0000-0000-0000-000000000000"
	sqliteUUIDs = []string{
		"6f1c8f2e-6f0e-4b9a-9d3a-0123456789ab", "6F1C8F2E-6F0E-4B9A-9D3A-0123456789AB",
		"6f1c8f2e6f0e4b9a9d3a0123456789ab", "6F1C8F2E6F0E4B9A9D3A0123456789AB",
	}
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
	// bunInstants are those that Bun reads a time.Time from. The texts of other
	// columns are read by the SQLite driver.
	bunInstants = []string{
		"2024-02-29 12:00:00.500000", "2024-02-29 12:00:00.5", "2024-02-29T12:00:00.500000+00:00", "2024-02-29T14:00:00.500+02:00",
		"2024-02-29T12:00:00.500Z", "2024-02-29 12:00:00.500000+00:00",
	}
	sqliteDays = []string{"2024-02-29", "2024-02-29 00:00:00", "2024-02-29 00:00:00.000000", "2024-02-29T00:00:00", "2024-02-29T00:00:00+00:00", "2024-02-29 00:00"}
	pgInstants = []string{"2024-02-29 12:00:00.5+00", "2024-02-29T12:00:00.500Z", "2024-02-29T14:00:00.500000+02:00", "2024-02-29 14:00:00.5+02"}
)

func TestOneValueOneSpellingOnPostgres(t *testing.T) {
	for _, s := range []spelling{
		{"uuid as text", "uuid", uuidSpellings, other, spellingOf[string], nil},
		{"uuid", "uuid", uuidSpellings, other, spellingOf[uuid.UUID], nil},
		{"date as text", "date", []string{"2024-02-29", "2024-02-29T00:00:00Z"}, "2024-03-01", spellingOf[string], nil},
		{"date", "date", []string{"2024-02-29", "2024-02-29T00:00:00Z"}, "2024-03-01", spellingOf[time.Time], nil},
		{"timestamptz as text", "timestamptz", pgInstants, "2024-03-01T00:00:00Z", spellingOf[string], nil},
		{"timestamptz", "timestamptz", pgInstants, "2024-03-01T00:00:00Z", spellingOf[time.Time], nil},
		{"timestamp as text", "timestamp", []string{"2024-02-29 12:00:00.5", "2024-02-29T12:00:00.500"}, "2024-03-01T00:00:00Z", spellingOf[string], nil},
		{"numeric as text", "numeric", []string{"1.5", "1.50", "15e-1"}, "1.51", spellingOf[string], nil},
		{"bigint as text", "bigint", []string{"7", "07"}, "8", spellingOf[string], nil},
		{"bigint", "bigint", []string{"7", "07"}, "8", spellingOf[int64], nil},
		{"char", "char(4)", []string{"ab", "ab  "}, "abc", spellingOf[string], nil},
		{"inet", "inet", []string{"10.0.0.1", "10.0.0.1/32"}, "10.0.0.2", spellingOf[string], nil},
		{"inet, v6", "inet", []string{"::1", "0:0:0:0:0:0:0:1", "::1/128"}, "::2", spellingOf[string], nil},
		{"time", "time", []string{"12:00", "12:00:00", "12:00:00.000"}, "12:01", spellingOf[string], nil},
		{"text", "text", []string{"Ab "}, "ab", spellingOf[string], nil},
		{"enum", "mood", []string{"good"}, "bad", spellingOf[string], nil},
		{"double", "double precision", []string{"1.5", "1.50", "15e-1"}, "1.25", spellingOf[float64], nil},
		{"its own text", "bigint", []string{"7"}, "8", spellingOf[ticket], nil},
		{"its own text and value", "text", []string{"low-7"}, "low-8", spellingOf[shouted], nil},
		{"its own JSON", "bigint", []string{"7"}, "8", spellingOf[badge], nil},
	} {
		t.Run(s.name, func(t *testing.T) {
			create := `CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE TABLE spelled (id ` + s.sqlType + ` PRIMARY KEY, ref ` + s.sqlType + ` NOT NULL, n bigint NOT NULL)`
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
		{"datetime", "DATETIME", sqliteInstants, "2024-02-29 12:00:00.500001", spellingOf[time.Time], nil},
		{"timestamp", "TIMESTAMP", sqliteInstants, "2024-02-29 12:00:00.499999", spellingOf[time.Time], nil},
		{"datetime as text", "DATETIME", sqliteInstants, "2024-02-29 12:00:00.500001", spellingOf[string], nil},
		{"date", "DATE", sqliteDays, "2024-03-01", spellingOf[time.Time], nil},
		{"date as text", "DATE", sqliteDays, "2024-03-01", spellingOf[string], nil},
		{"times in text", "TEXT", sqliteInstants, "2024-02-29 12:00:00.500001", spellingOf[time.Time], bunInstants},
		{"integer", "INTEGER", []string{"7", "07"}, "8", spellingOf[int64], nil},
		{"text", "TEXT", []string{"Ab "}, "ab", spellingOf[string], nil},
		{"uuid in text", "TEXT", uuidSpellings, other, spellingOf[uuid.UUID], sqliteUUIDs},
		{"uuid of no type", "UUID", uuidSpellings, other, spellingOf[uuid.UUID], sqliteUUIDs},
		{"real", "REAL", []string{"1.5", "1.50", "15e-1"}, "1.25", spellingOf[float64], nil},
		{"decimal as text", "NUMERIC", []string{"1.5", "1.50", "15e-1"}, "1.51", spellingOf[string], nil},
		{"its own text", "INTEGER", []string{"7"}, "8", spellingOf[ticket], nil},
		{"its own text and value", "TEXT", []string{"low-7"}, "low-8", spellingOf[shouted], nil},
		{"its own JSON", "INTEGER", []string{"7"}, "8", spellingOf[badge], nil},
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
// statements that name it so. Filters take every pair of spellings. For the
// other ways in, the first stored one takes all, and the others take one, unless
// the tests are to be long.
func spellingOf[K any](t *testing.T, s spelling, w spellingWorld) {
	if !buntest.Long() && len(s.same) > 5 { // every other one
		s.same = slices.DeleteFunc(slices.Clone(s.same), func(text string) bool { return slices.Index(s.same, text)%2 == 1 })
	}
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
	for _, v := range reg.Views() {
		<-v.Loaded()
	}
	all, _ := reg.Lookup("all")
	stored := s.stored
	if stored == nil {
		stored = s.same
	}
	for i, at := range stored {
		texts := s.same
		if i > 0 && !buntest.Long() {
			texts = []string{s.same[(i+1)%len(s.same)]}
		}
		mustRun(t, w.writer, `INSERT INTO spelled VALUES (`+quoted(at)+`, `+quoted(at)+`, 0)`)
		foundByFilters(t, reg, s, at)
		for _, text := range texts {
			foundByParameters(t, reg, text, at)
			foundByScopes(t, reg, text, at)
			foundByKeys(t, all, text, at)
		}
		foundByWhatRowsShow(t, all)
		shown := func() (string, error) {
			for row := range all.Snapshot().Rows() {
				return string(row.JSON()), nil
			}
			return "", errors.New("no row")
		}
		for n, text := range texts {
			if isSQLite(w.db) {
				text = at // SQLite compares texts
			}
			mustRun(t, w.writer, `UPDATE spelled SET n = n + 1 WHERE id = `+quoted(text))
			buntest.Eventually(t, fmt.Sprintf("update by %q of %q", text, at), func() error {
				row, err := shown()
				if err == nil && !strings.Contains(row, fmt.Sprintf(`"n":%d`, n+1)) {
					err = fmt.Errorf("it shows %s, not %d", row, n+1)
				}
				return err
			})
		}
		mustRun(t, w.writer, `DELETE FROM spelled WHERE id = `+quoted(at))
		buntest.Eventually(t, "the deletion of "+at, func() error {
			if all.Len() > 0 {
				return fmt.Errorf("%d rows", all.Len())
			}
			return nil
		})
	}
}

func foundByFilters(t *testing.T, reg *core.Registry, s spelling, stored string) {
	t.Helper()
	buntest.Eventually(t, fmt.Sprintf("the row of %q", stored), func() error {
		if all, _ := reg.Lookup("all"); all.Len() != 1 {
			return fmt.Errorf("the table shows %d rows", all.Len())
		}
		for i, text := range s.same {
			for name, want := range map[string]int{"eq": 1, "in": 1, "le": 1, "ne": 0} {
				if v, _ := reg.Lookup(fmt.Sprint(name, i)); v.Len() != want {
					return fmt.Errorf("%s %q shows %d rows", name, text, v.Len())
				}
			}
		}
		return nil
	})
}

func foundByParameters(t *testing.T, reg *core.Registry, text, stored string) {
	t.Helper()
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
			if n := g.View().Len(); n != 1 {
				t.Errorf("%s = %q of %q: %d rows", column, text, stored, n)
			}
			g.Close()
		}
	}
}

// foundByScopes confines the binding by the text, as an authorizer or a client does.
func foundByScopes(t *testing.T, reg *core.Registry, text, stored string) {
	t.Helper()
	for want, scope := range []filter.Expr{filter.Ne("ref", text), filter.Eq("ref", text)} {
		g, err := reg.Open(t.Context(), "all", nil, scope)
		must(t, err)
		<-g.View().Loaded()
		if n := g.View().Len(); n != want {
			t.Errorf("within %s, %d rows of %q", scope, n, stored)
		}
		g.Close()
	}
}

func foundByKeys(t *testing.T, all *live.View, text, stored string) {
	t.Helper()
	schema := all.Schema()
	for name, make := range map[string]func() (driver.Key, error){
		"ParseKey": func() (driver.Key, error) { return schema.ParseKey(text) },
		"MakeKey":  func() (driver.Key, error) { return schema.MakeKey(text) },
		"KeyFor":   func() (driver.Key, error) { return schema.KeyFor(text) },
	} {
		if key, err := make(); err != nil {
			t.Errorf("%s %q: %v", name, text, err)
		} else if _, ok := all.Snapshot().Get(key); !ok {
			t.Errorf("%s %q finds no row that is stored as %q", name, text, stored)
		}
	}
}

// foundByWhatRowsShow demands that a client can make the key of a row from the row.
func foundByWhatRowsShow(t *testing.T, all *live.View) {
	t.Helper()
	schema := all.Schema()
	for row := range all.Snapshot().Rows() {
		var shown struct {
			ID json.RawMessage `json:"id"`
		}
		must(t, json.Unmarshal(row.JSON(), &shown))
		text := string(shown.ID)
		if err := json.Unmarshal(shown.ID, &text); err != nil {
			text = string(shown.ID) // a number
		}
		if key, err := schema.ParseKey(text); err != nil || key != row.Key() {
			t.Errorf("the row %s has the key %q, and the key that it shows is %q, %v", row.JSON(), row.Key(), key, err)
		}
	}
}

func quoted(text string) string { return "'" + text + "'" }

func mustRun(t *testing.T, db *bun.DB, query string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}
