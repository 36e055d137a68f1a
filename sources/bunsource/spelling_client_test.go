package bunsource_test

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/sources/bunsource"
)

// TestClientsSpellingsOnPostgres: what a column's type reads as a value finds its row
// when it comes as text, in URLs. The first spelling is what is stored.
func TestClientsSpellingsOnPostgres(t *testing.T) {
	db, plain := openPostgres(t)
	mustRun(t, plain, "CREATE TYPE mood AS ENUM ('good', 'bad')")
	const id = "6f1c8f2e-6f0e-4b9a-9d3a-0123456789ab"
	odd := []string{id, "6f1c-8f2e-6f0e-4b9a-9d3a-0123-4567-89ab", "{6f1c8f2e-6f0e4b9a-9d3a0123-456789ab}", "6F1C8F2E6F0E4B9A9D3A-0123456789AB"}
	clientSpelling[int64](t, db, plain, "bigint", odd0("7"), "seven", "7.5", "+ 7", "++7", "")
	clientSpelling[string](t, db, plain, "smallint", odd0("7"), "seven", "")
	clientSpelling[string](t, db, plain, "numeric", append(odd0("1.5"), "1.50", "15e-1"), "x", "+-1.5")
	clientSpelling[float64](t, db, plain, "double precision", append(odd0("1.5"), ".15e1"), "x")
	clientSpelling[float32](t, db, plain, "real", append(odd0("1.1"), "1.10", "11e-1"), "1.2", "x")
	clientSpelling[float64](t, db, plain, "real", append(odd0("1.1"), "1.10", "1.10000001"), "1.2")
	clientSpelling[bool](t, db, plain, "boolean", []string{"true", "t", "TRUE", "1", "yes", "y", " on "}, "false", "o", "", "maybe")
	clientSpelling[uuid.UUID](t, db, plain, "uuid", append(odd, "urn:uuid:"+id), "6f1c8f2e", "6f1-c8f2e6f0e4b9a9d3a0123456789ab")
	clientSpelling[string](t, db, plain, "uuid", odd, "6f1c8f2e")
	clientSpelling[[]byte](t, db, plain, "bytea", []string{`\xdead`, `\xDEAD`, "dead", "DEAD"}, `\xdea`, "zz")
	clientSpelling[time.Time](t, db, plain, "date", []string{"2024-02-29", "20240229", "2024-2-29"}, "2024-02-30", "2024")
	clientSpelling[time.Time](t, db, plain, "timestamptz", []string{
		"2024-02-29 12:00:00.5+00", "2024-02-29t12:00:00.5z", "2024-02-29 12:00:00.5 UTC", "2024-02-29 12:00:00.500000 +0000", "20240229T120000.5Z", "2024-02-29 17:30:00.5+0530",
	}, "2024-02-29T12:00:00Z", "noon")
	clientSpelling[string](t, db, plain, "mood", []string{"good"}, "bad", "ugly", "")
	clientSpelling[string](t, db, plain, "macaddr", []string{"08:00:2b:01:02:03"}, "garbage")
	clientSpelling[float64](t, db, plain, "numeric", []string{"9007199254740993", "9007199254740992", "9007199254740993.0"}, "9007199254740996", "9007199254740990")
	clientSpelling[float64](t, db, plain, "numeric(30,25)", []string{"0.1234567890123456789", "0.12345678901234568"}, "0.1234567890123457", "0.1234567890123456")
	clientSpelling[float64](t, db, plain, "numeric(8,2)", append(odd0("1.1"), "1.10"), "1.100000000000001")
	clientSpelling[sql.NullFloat64](t, db, plain, "bigint", []string{"9007199254740993", "9007199254740992"}, "9007199254740996", "1.5")
	clientSpelling[float32](t, db, plain, "double precision", []string{"1.1", "1.10", "1.100000023841858"}, "1.2", "1.1000003")
	clientSpelling[float32](t, db, plain, "numeric", []string{"16777217", "16777216"}, "16777218", "16777215")
	clientSpelling[int64](t, db, plain, "numeric", []string{"7", "7.0", "70e-1"}, "7.5")
	clientSpelling[string](t, db, plain, "time", []string{"12:00", "12:00:00", "12:00 PM", "120000", "T12:00", "12:00:00Z"}, "12:00 AM", "noon")
	clientSpelling[string](t, db, plain, "macaddr", []string{"08:00:2b:01:02:03", "08-00-2B-01-02-03", "08002b:010203"}, "08:00:2b:01:02:04")
	clientSpelling[string](t, db, plain, "bit(4)", []string{"1010", "xA", "b1010"}, "1011")
	clientSpelling[string](t, db, plain, "interval", []string{"24:00:00", "1 day", "P1D"}, "2 days")
	clientSpelling[string](t, db, plain, "int4range", []string{"[1,5)", "[1,4]", "(0,5)"}, "[1,5]")
	clientSpelling[string](t, db, plain, "cidr", []string{"10.0.0.0/8"}, "10", "garbage") // compared as an inet, which does not read 10
}

func odd0(number string) []string {
	return []string{number, "+" + number, " " + number, number + " ", "00" + number}
}

func TestClientsSpellingsOnSQLite(t *testing.T) {
	db, plain := openSQLite(t)
	clientSpelling[int64](t, db, plain, "INTEGER", append(odd0("7"), "7.0", "7e0", "70e-1"), "7.5", "0x7", "seven")
	clientSpelling[float64](t, db, plain, "REAL", append(odd0("1.5"), "15e-1"), "x")
	clientSpelling[string](t, db, plain, "NUMERIC", append(odd0("1.5"), "1.50"), "x")
	clientSpelling[float32](t, db, plain, "REAL", []string{"1.1", "1.10", "1.100000023841858"}, "1.2", "1.1000003")
	clientSpelling[sql.NullFloat64](t, db, plain, "NUMERIC", []string{"9007199254740993", "9007199254740992"}, "9007199254740996")
	clientSpelling[float64](t, db, plain, "TEXT", []string{"1.50", "1.5", "15e-1"}, "1.6")
	clientSpelling[string](t, db, plain, "BLOB", []string{"ab"}, "6162", "abc") // stored as a text
	clientSpelling[bool](t, db, plain, "BOOLEAN", []string{"true", "1"}, "false")
	clientSpelling[uuid.UUID](t, db, plain, "BLOB", []string{"6f1c8f2e-6f0e-4b9a-9d3a-0123456789ab", "6F1C8F2E6F0E4B9A9D3A0123456789AB"}, "6f1c8f2e")
	clientSpelling[time.Time](t, db, plain, "DATETIME", []string{"2024-02-29 12:00:00.5", "2024-02-29t12:00:00.5z", "2024-02-29 12:00:00.5+0000"}, "noon")
}

type document struct {
	bun.BaseModel `bun:"table:documents"`
	ID            map[string]any `bun:",pk,type:jsonb" json:"id"`
	N             int64          `bun:",notnull" json:"n"`
}

type list[E any] struct {
	bun.BaseModel `bun:"table:lists"`
	ID            []E   `bun:",pk,array" json:"id"`
	N             int64 `bun:",notnull" json:"n"`
}

// TestKeysThatFiltersCannotName: a key of a kind that filters do not compare finds its
// row however it is spelled, for reading and for writing, and so does a key from the
// log, in the database's own spelling.
func TestKeysThatFiltersCannotName(t *testing.T) {
	db, plain := openPostgres(t)
	mustRun(t, plain, `CREATE TABLE documents (id jsonb PRIMARY KEY, n bigint NOT NULL); INSERT INTO documents VALUES ('{"b": [1.50, "x<y"], "a": {}}', 0)`)
	keySpelling[document](t, db, plain, "documents", `{"a":{},"b":[1.5,"x<y"]}`, `{"b": [1.50, "x<y"], "a": {}}`, `{"a": {}, "b": [15e-1, "x<y"]}`)
	mustRun(t, plain, `CREATE TABLE lists (id text[] PRIMARY KEY, n bigint NOT NULL); INSERT INTO lists VALUES ('{a,"b,c"}', 0)`)
	keySpelling[list[string]](t, db, plain, "lists", `["a","b,c"]`, `["a", "b,c"]`, `{a,"b,c"}`, `{"a","b,c"}`)
	mustRun(t, plain, `DROP TABLE lists; CREATE TABLE lists (id int[] PRIMARY KEY, n bigint NOT NULL); INSERT INTO lists VALUES ('{1,2}', 0)`)
	keySpelling[list[int64]](t, db, plain, "lists", `[1,2]`, `{1,2}`, `{01, 2}`)
}

// TestKeyOfSeveralRows: a write is refused, and writes nothing, where the Go type shows
// the keys of two rows as one.
func TestKeyOfSeveralRows(t *testing.T) {
	db, plain := openPostgres(t)
	mustRun(t, plain, "CREATE TABLE spelled (id numeric PRIMARY KEY, ref numeric NOT NULL, n bigint NOT NULL); INSERT INTO spelled VALUES (9007199254740992, 0, 0)")
	reg := core.NewRegistry()
	all := bunsource.Bind[spelled[float64]](db, "all", core.Writable())
	must(t, reg.Add(all))
	must(t, reg.Start(t.Context()))
	defer shutdown(t, reg)
	view, _ := reg.Lookup("all")
	<-view.Loaded()
	mustRun(t, plain, "INSERT INTO spelled VALUES (9007199254740993, 0, 0)") // which nothing watches
	key, err := view.Schema().ParseKey("9007199254740993")
	must(t, err)
	var invalid *driver.InvalidError
	if _, err := all.Write(t.Context(), live.Write{Op: live.Merge, Key: key, Body: []byte(`{"n":1}`)}); !errors.As(err, &invalid) {
		t.Errorf("writing two rows at once: %v", err)
	}
	var sum int
	must(t, plain.QueryRow("SELECT sum(n) FROM spelled").Scan(&sum))
	if sum != 0 {
		t.Errorf("%d rows were written", sum)
	}
}

func keySpelling[T any](t *testing.T, db, plain *bun.DB, table string, same ...string) {
	t.Helper()
	reg := core.NewRegistry()
	all := bunsource.Bind[T](db, "all", core.Writable())
	must(t, reg.Add(all))
	must(t, reg.Watch(bunsource.Hooks(db)))
	must(t, reg.Start(t.Context()))
	defer shutdown(t, reg)
	view, _ := reg.Lookup("all")
	<-view.Loaded()
	grant, err := reg.Open(t.Context(), "all", nil)
	must(t, err)
	defer grant.Close()
	for i, text := range same {
		key, err := view.Schema().ParseKey(text)
		must(t, err)
		key = grant.Resolve(t.Context(), key)
		if _, ok := view.Snapshot().Get(key); !ok {
			t.Errorf("%s: %q is %s and finds no row", table, text, key)
			continue
		}
		_, err = all.Write(t.Context(), live.Write{Op: live.Merge, Key: key, Body: fmt.Appendf(nil, `{"n":%d}`, i+1)})
		must(t, err)
		row, ok := view.Snapshot().Get(key)
		if want := fmt.Sprintf(`"n":%d}`, i+1); !ok || !strings.HasSuffix(string(row.JSON()), want) {
			t.Errorf("%s: written by %q it is %s, %v", table, text, row.JSON(), ok)
		}
	}
}

// clientSpelling stores a row, and looks for it by texts that are its key, and by
// others, which are no key of any row, for reading, for writing and as a parameter.
func clientSpelling[K any](t *testing.T, db, plain *bun.DB, sqlType string, same []string, others ...string) {
	t.Run(fmt.Sprintf("%s as %T", sqlType, *new(K)), func(t *testing.T) {
		mustRun(t, plain, "DROP TABLE IF EXISTS spelled; CREATE TABLE spelled (id "+sqlType+" NOT NULL PRIMARY KEY, ref "+sqlType+" NOT NULL, n bigint NOT NULL)")
		mustRun(t, plain, "INSERT INTO spelled VALUES ("+quoted(same[0])+", "+quoted(same[0])+", 1)")
		reg := core.NewRegistry()
		all := bunsource.Bind[spelled[K]](db, "all", core.Writable())
		must(t, reg.Add(all, bunsource.BindFamily[spelled[K]](db, "by_ref", core.Where(filter.Eq("ref", filter.Param("ref"))))))
		must(t, reg.Start(t.Context()))
		defer shutdown(t, reg)
		view, _ := reg.Lookup("all")
		<-view.Loaded()
		grant, err := reg.Open(t.Context(), "all", nil)
		must(t, err)
		defer grant.Close()
		write := func(key driver.Key) error {
			_, err := all.Write(t.Context(), live.Write{Op: live.Merge, Key: key, Body: []byte(`{"n":1}`)})
			return err
		}
		member := func(text string) (int, error) {
			g, err := reg.Open(t.Context(), "by_ref", core.TextArgs(map[string]string{"ref": text}))
			if err != nil {
				return 0, err
			}
			defer g.Close()
			<-g.View().Loaded()
			return g.View().Len(), nil
		}
		for _, text := range same {
			key, err := view.Schema().ParseKey(text)
			if err != nil {
				t.Errorf("%q: %v", text, err)
				continue
			}
			key = grant.Resolve(t.Context(), key)
			if _, ok := view.Snapshot().Get(key); !ok {
				t.Errorf("%q is %s and finds no row", text, key)
			}
			if err := write(key); err != nil {
				t.Errorf("writing by %q: %v", text, err)
			}
			if n, err := member(text); n != 1 || err != nil {
				t.Errorf("by %q there are %d rows: %v", text, n, err)
			}
		}
		for _, text := range others {
			if key, err := view.Schema().ParseKey(text); err == nil {
				key = grant.Resolve(t.Context(), key)
				if _, ok := view.Snapshot().Get(key); ok {
					t.Errorf("%q finds the row", text)
				}
				if err := write(key); !errors.Is(err, live.ErrNoRow) {
					t.Errorf("writing by %q: %v", text, err)
				}
				if why, err := reg.Explain(t.Context(), view, key); err != nil || len(why.Why) != 1 || why.Why[0].Row != "absent" {
					t.Errorf("explaining %q: %v, %v", text, why.Why, err)
				}
			}
			var refused *core.ArgumentError
			if n, err := member(text); n != 0 || err != nil && !errors.As(err, &refused) {
				t.Errorf("by %q there are %d rows: %v", text, n, err)
			}
		}
	})
}

// TestParameterThatCannotBe: a family whose parameter stands against a column that
// cannot be compared, which only the database knows, concerns nobody else.
func TestParameterThatCannotBe(t *testing.T) {
	db, plain := openPostgres(t)
	mustRun(t, plain, "CREATE TABLE spelled (id bigint PRIMARY KEY, ref jsonb NOT NULL, n bigint NOT NULL); INSERT INTO spelled VALUES (1, '{}', 1)")
	type row struct {
		bun.BaseModel `bun:"table:spelled"`
		ID            int64          `bun:",pk" json:"id"`
		Ref           sql.NullString `json:"ref"`
	}
	reg := core.NewRegistry()
	must(t, reg.Add(bunsource.Bind[row](db, "all"), bunsource.BindFamily[row](db, "by_ref", core.Where(filter.Eq("ref", filter.Param("ref"))))))
	must(t, reg.Start(t.Context()))
	defer shutdown(t, reg)
	view, _ := reg.Lookup("all")
	<-view.Loaded()
	if n := view.Len(); n != 1 {
		t.Errorf("%d rows", n)
	}
}
