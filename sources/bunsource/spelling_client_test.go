package bunsource_test

import (
	"database/sql"
	"errors"
	"fmt"
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
	clientSpelling[time.Time](t, db, plain, "DATETIME", []string{"2024-02-29 12:00:00.5", "2024-02-29t12:00:00.5z", "2024-02-29 12:00:00.5+0000"}, "noon")
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
