package bunsource_test

import (
	"database/sql"
	sqldriver "database/sql/driver"
	"encoding/json"
	"errors"
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
	// found is [spellingIsFound] for the Go type, reported [spellingIsReported].
	found, reported func(t *testing.T, s spelling, w spellingWorld)
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

// spellingOf is a spelling of columns whose Go type is K.
func spellingOf[K any](name, sqlType string, same []string, other string, stored []string) spelling {
	s := spelling{name, sqlType, same, other, spellingIsFound[K], spellingIsReported[K], stored}
	if !buntest.Long() && len(same) > 5 { // every other one
		s.same = nil
		for i := 0; i < len(same); i += 2 {
			s.same = append(s.same, same[i])
		}
	}
	if stored == nil {
		s.stored = s.same
	}
	return s
}

func TestOneValueOneSpellingOnPostgres(t *testing.T) {
	t.Parallel()
	dsn := postgresDSN(t)
	mustRun(t, openPlain(t, "pgx", dsn), `CREATE TYPE mood AS ENUM ('good', 'bad')`)
	for _, s := range []spelling{
		spellingOf[string]("uuid as text", "uuid", uuidSpellings, other, nil),
		spellingOf[uuid.UUID]("uuid", "uuid", uuidSpellings, other, nil),
		spellingOf[string]("date as text", "date", []string{"2024-02-29", "2024-02-29T00:00:00Z"}, "2024-03-01", nil),
		spellingOf[time.Time]("date", "date", []string{"2024-02-29", "2024-02-29T00:00:00Z"}, "2024-03-01", nil),
		spellingOf[string]("timestamptz as text", "timestamptz", pgInstants, "2024-03-01T00:00:00Z", nil),
		spellingOf[time.Time]("timestamptz", "timestamptz", pgInstants, "2024-03-01T00:00:00Z", nil),
		spellingOf[string]("timestamp as text", "timestamp", []string{"2024-02-29 12:00:00.5", "2024-02-29T12:00:00.500"}, "2024-03-01T00:00:00Z", nil),
		spellingOf[string]("numeric as text", "numeric", []string{"1.5", "1.50", "15e-1"}, "1.51", nil),
		spellingOf[string]("bigint as text", "bigint", []string{"7", "07"}, "8", nil),
		spellingOf[int64]("bigint", "bigint", []string{"7", "07"}, "8", nil),
		spellingOf[string]("char", "char(4)", []string{"ab", "ab  "}, "abc", nil),
		spellingOf[string]("inet", "inet", []string{"10.0.0.1", "10.0.0.1/32"}, "10.0.0.2", nil),
		spellingOf[string]("inet, v6", "inet", []string{"::1", "0:0:0:0:0:0:0:1", "::1/128"}, "::2", nil),
		spellingOf[string]("time", "time", []string{"12:00", "12:00:00", "12:00:00.000"}, "12:01", nil),
		spellingOf[string]("text", "text", []string{"Ab "}, "ab", nil),
		spellingOf[string]("enum", "mood", []string{"good"}, "bad", nil),
		spellingOf[float64]("double", "double precision", []string{"1.5", "1.50", "15e-1"}, "1.25", nil),
		spellingOf[float64]("numeric as float", "numeric", []string{"9007199254740993", "9007199254740993.0"}, "9007199254740996", nil),
		spellingOf[float32]("double as a smaller float", "double precision", []string{"1.1", "1.10"}, "1.25", nil),
		spellingOf[ticket]("its own text", "bigint", []string{"7"}, "8", nil),
		spellingOf[shouted]("its own text and value", "text", []string{"low-7"}, "low-8", nil),
		spellingOf[badge]("its own JSON", "bigint", []string{"7"}, "8", nil),
	} {
		t.Run(s.name, func(t *testing.T) {
			db, plain := openBoth(t, "pgx", dsn)
			mustRun(t, plain, `DROP TABLE IF EXISTS spelled`)
			mustRun(t, plain, `CREATE TABLE spelled (id `+s.sqlType+` PRIMARY KEY, ref `+s.sqlType+` NOT NULL, n bigint NOT NULL)`)
			t.Run("found", func(t *testing.T) { s.found(t, s, spellingWorld{plain, db, bunsource.Hooks(db)}) })
			t.Run("hooks", func(t *testing.T) { s.reported(t, s, spellingWorld{plain, db, bunsource.Hooks(db)}) })
			t.Run("log", func(t *testing.T) { s.reported(t, s, spellingWorld{plain, plain, pgsource.New(dsn)}) })
			t.Run("triggers", func(t *testing.T) {
				must(t, pgsource.Outbox{}.Install(t.Context(), dsn, driver.Table{Name: "spelled"}))
				s.reported(t, s, spellingWorld{plain, plain, pgsource.NewTriggers(dsn)})
			})
		})
	}
}

func TestOneValueOneSpellingOnSQLite(t *testing.T) {
	t.Parallel()
	for _, s := range []spelling{
		spellingOf[time.Time]("datetime", "DATETIME", sqliteInstants, "2024-02-29 12:00:00.500001", nil),
		spellingOf[time.Time]("timestamp", "TIMESTAMP", sqliteInstants, "2024-02-29 12:00:00.499999", nil),
		spellingOf[string]("datetime as text", "DATETIME", sqliteInstants, "2024-02-29 12:00:00.500001", nil),
		spellingOf[time.Time]("date", "DATE", sqliteDays, "2024-03-01", nil),
		spellingOf[string]("date as text", "DATE", sqliteDays, "2024-03-01", nil),
		spellingOf[time.Time]("times in text", "TEXT", sqliteInstants, "2024-02-29 12:00:00.500001", bunInstants),
		spellingOf[int64]("integer", "INTEGER", []string{"7", "07"}, "8", nil),
		spellingOf[string]("text", "TEXT", []string{"Ab "}, "ab", nil),
		spellingOf[uuid.UUID]("uuid in text", "TEXT", uuidSpellings, other, sqliteUUIDs),
		spellingOf[uuid.UUID]("uuid of no type", "UUID", uuidSpellings, other, sqliteUUIDs),
		spellingOf[float64]("real", "REAL", []string{"1.5", "1.50", "15e-1"}, "1.25", nil),
		spellingOf[float32]("real as a smaller float", "REAL", []string{"1.1", "1.10"}, "1.25", nil),
		spellingOf[float64]("text as float", "TEXT", []string{"1.5", "1.50", "15e-1"}, "1.25", nil),
		spellingOf[string]("text in a BLOB", "BLOB", []string{"ab"}, "abc", nil),
		spellingOf[uuid.UUID]("uuid in a BLOB", "BLOB", uuidSpellings, other, sqliteUUIDs),
		spellingOf[string]("decimal as text", "NUMERIC", []string{"1.5", "1.50", "15e-1"}, "1.51", nil),
		spellingOf[ticket]("its own text", "INTEGER", []string{"7"}, "8", nil),
		spellingOf[shouted]("its own text and value", "TEXT", []string{"low-7"}, "low-8", nil),
		spellingOf[badge]("its own JSON", "INTEGER", []string{"7"}, "8", nil),
	} {
		t.Run(s.name, func(t *testing.T) {
			create := `CREATE TABLE spelled (id ` + s.sqlType + ` NOT NULL PRIMARY KEY, ref ` + s.sqlType + ` NOT NULL, n INTEGER NOT NULL)`
			db, plain := openSQLite(t)
			mustRun(t, plain, create)
			t.Run("found", func(t *testing.T) { s.found(t, s, spellingWorld{plain, db, bunsource.Hooks(db)}) })
			t.Run("hooks", func(t *testing.T) { s.reported(t, s, spellingWorld{plain, db, bunsource.Hooks(db)}) })
			t.Run("its own hooks", func(t *testing.T) {
				dsn := sqliteDSN(t)
				source, err := sqlitesource.New(dsn)
				must(t, err)
				db := bun.NewDB(sql.OpenDB(source.Connector()), sqlitedialect.New())
				t.Cleanup(func() { db.Close() })
				plain := openPlain(t, "sqlite", dsn)
				mustRun(t, plain, create)
				s.reported(t, s, spellingWorld{plain, db, source})
			})
		})
	}
}

// spellingIsFound stores the value in each spelling, and looks for it by each: in
// filters, parameters and keys from outside. Filters take every pair of spellings.
// For the other ways in, the first stored one takes all, and the others take one,
// unless the tests are to be long.
func spellingIsFound[K any](t *testing.T, s spelling, w spellingWorld) {
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
	watchSpelling(t, reg, w)
	all, _ := reg.Lookup("all")
	for i, at := range s.stored {
		mustRun(t, w.writer, `INSERT INTO spelled VALUES (`+quoted(at)+`, `+quoted(at)+`, 0)`)
		foundByFilters(t, reg, s, at)
		for _, text := range s.texts(i) {
			foundByParameters(t, reg, text, at)
			foundByScopes(t, reg, text, at)
			foundByKeys(t, all, text, at)
		}
		foundByWhatRowsShow(t, all)
		mustRun(t, w.writer, `DELETE FROM spelled`)
		must(t, reg.Flush(t.Context())) // so that nothing shows the row when the next one comes
	}
}

// spellingIsReported changes the row of each stored spelling by statements that
// name it by each: whatever key the source reports, the binding shows the change.
func spellingIsReported[K any](t *testing.T, s spelling, w spellingWorld) {
	reg := core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}.NewRegistry()
	must(t, reg.Add(bunsource.Bind[spelled[K]](w.db, "all")))
	watchSpelling(t, reg, w)
	all, _ := reg.Lookup("all")
	shown := func() (string, error) {
		for row := range all.Snapshot().Rows() {
			return string(row.JSON()), nil
		}
		return "", errors.New("no row")
	}
	for i, at := range s.stored {
		mustRun(t, w.writer, `INSERT INTO spelled VALUES (`+quoted(at)+`, `+quoted(at)+`, 0)`)
		for n, text := range s.texts(i) {
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

// texts are those by which the i-th stored spelling is looked for.
func (s spelling) texts(i int) []string {
	if i > 0 && !buntest.Long() {
		return []string{s.same[(i+1)%len(s.same)]}
	}
	return s.same
}

// watchSpelling starts the registry, and waits until its bindings have loaded.
func watchSpelling(t *testing.T, reg *core.Registry, w spellingWorld) {
	t.Helper()
	must(t, reg.Watch(w.source))
	must(t, reg.Start(t.Context()))
	t.Cleanup(func() { shutdown(t, reg) })
	for _, v := range reg.Views() {
		<-v.Loaded()
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
