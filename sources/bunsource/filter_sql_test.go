package bunsource

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/dialect/mysqldialect"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/schema"
	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/sources/bunsource/internal/exact"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
	"github.com/binderyhq/bindery/sources/bunsource/internal/sqlgen"
	"github.com/binderyhq/bindery/sources/sourcetest/buntest"
)

// filterText returns what a filter is written as, with the facts given by type.
func filterText(t *testing.T, d schema.Dialect, e filter.Expr, types map[string]string) (string, error) {
	t.Helper()
	db := buntest.Offline(t, d)
	m, err := model.New(db, "", reflect.TypeFor[specimen]())
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range m.Schema.Columns {
		if typ := types[c.Name]; typ != "" {
			m.Describe(i, model.State{Facts: exact.Facts{SQLType: typ, Known: true, Deterministic: true}})
		}
	}
	query, args, err := sqlgen.Where(m, e)
	if err != nil {
		return "", err
	}
	text := db.NewSelect().Model((*specimen)(nil)).Where(query, args...).String()
	_, text, _ = strings.Cut(text, " WHERE (")
	return strings.NewReplacer(`"sp".`, "", "`sp`.", "").Replace(strings.TrimSuffix(text, ")")), nil
}

func TestFilterText(t *testing.T) {
	at := time.Date(2024, 2, 29, 12, 0, 0, 5000, time.FixedZone("", 3600))
	pg := map[string]string{"price": "numeric", "uid": "uuid", "day": "date", "wall": "timestamp without time zone", "n": "bigint", "word": "text"}
	for _, tt := range []struct {
		d    schema.Dialect
		e    filter.Expr
		want string
	}{
		{pgdialect.New(), nil, `1 = 1`},
		{pgdialect.New(), filter.And(filter.Eq("n", 7), filter.Or(filter.IsNull("word"), filter.Not(filter.Eq("word", "it's?")))), `("n" = 7 AND ("word" IS NULL OR NOT ("word" = 'it''s?')))`},
		{pgdialect.New(), filter.And(filter.Or(), filter.In("n"), filter.NotIn("n"), filter.NotNull("n")), `((1 = 0 AND 1 = 0) AND (1 = 1 AND "n" IS NOT NULL))`},
		{pgdialect.New(), filter.NotIn("n", 1, -2), `NOT (("n" IN (1, -2)))`},
		{pgdialect.New(), filter.Eq("n", int64(math.MinInt64)), `"n" = bigint '-9223372036854775808'`},
		{pgdialect.New(), filter.Lt("f", 0.1), `"f" < float8 '0.1'`},
		{pgdialect.New(), filter.Lt("f", math.NaN()), `"f" < float8 'NaN'`},
		{pgdialect.New(), filter.In("price", "1.50", "NaN"), `("price" IN (1.5, numeric 'NaN'))`},
		{pgdialect.New(), filter.Eq("flag", true), `"flag" = TRUE`},
		{pgdialect.New(), filter.Le("flag", true), `("flag" IS NOT NULL OR NULL)`},
		{pgdialect.New(), filter.In("flag", false), `"flag" = FALSE`},
		{pgdialect.New(), filter.Eq("word", "\xff"), `convert_to("word", 'UTF8') = '\xff'`},
		{pgdialect.New(), filter.In("word", "a", "\xff", "b"), `("word" IN ('a', 'b') OR convert_to("word", 'UTF8') IN ('\xff'))`},
		{pgdialect.New(), filter.Eq("at", at), `"at" = '2024-02-29 11:00:00.000005+00:00'`},
		{pgdialect.New(), filter.Eq("at", at.Add(1)), `("at" IS NULL AND NULL)`},
		{pgdialect.New(), filter.Lt("at", at.Add(1)), `"at" <= '2024-02-29 11:00:00.000005+00:00'`},
		{pgdialect.New(), filter.Ge("at", at.Add(1)), `"at" > '2024-02-29 11:00:00.000005+00:00'`},
		{pgdialect.New(), filter.Gt("wall", at), `"wall" > timestamp '2024-02-29 11:00:00.000005'`},
		{pgdialect.New(), filter.Ge("day", at), `"day" > date '2024-02-29'`},
		{pgdialect.New(), filter.Lt("day", time.Date(-43, 3, 15, 0, 0, 0, 0, time.UTC)), `"day" < date '0044-03-15 BC'`},
		{pgdialect.New(), filter.Lt("at", time.Date(300_000, 1, 1, 0, 0, 0, 0, time.UTC)), `("at" IS NOT NULL OR NULL)`},
		{pgdialect.New(), filter.Eq("uid", uuid.Nil), `"uid" = uuid '00000000-0000-0000-0000-000000000000'`},
		{pgdialect.New(), filter.Ne("uid", "ABC"), `("uid" IS NOT NULL OR NULL)`},
		{pgdialect.New(), filter.Lt("uid", "ABC"), `"uid"::text COLLATE "C" <= 'ABC'`},

		{sqlitedialect.New(), filter.Eq("flag", true), `"flag" <> 0`},
		{sqlitedialect.New(), filter.Ne("flag", true), `"flag" = 0`},
		{sqlitedialect.New(), filter.Gt("f", 2.5), `"f" > (5 / CAST(2 AS REAL))`},
		{sqlitedialect.New(), filter.Gt("f", 10), `"f" > CAST(10 AS REAL)`},
		{sqlitedialect.New(), filter.Gt("f", math.NaN()), `("f" IS NULL AND NULL)`},
		{sqlitedialect.New(), filter.Lt("f", math.Inf(1)), `"f" < 9e999`},
		{sqlitedialect.New(), filter.Eq("word", "a\x00"), `"word" = CAST(X'6100' AS TEXT)`},
		{sqlitedialect.New(), filter.Eq("raw", []byte{1}), `"raw" = X'01'`},

		{pgdialect.New(), filter.Contains("word", `50%_!\'`), `"word" LIKE '%50!%!_!!\''%' ESCAPE '!'`},
		{pgdialect.New(), filter.HasPrefixFold("word", "a"), `"word" ILIKE 'a%' ESCAPE '!'`},
		{pgdialect.New(), filter.Contains("uid", "0a"), `"uid"::text LIKE '%0a%' ESCAPE '!'`},
		{pgdialect.New(), filter.Contains("Na me", "a"), `"Na me"::text COLLATE "C" LIKE '%a%' ESCAPE '!'`},
		{sqlitedialect.New(), filter.Contains("word", "50%_"), `instr("word", '50%_') > 0`},
		{sqlitedialect.New(), filter.HasPrefixFold("word", "A"), `instr(lower("word"), lower('A')) = 1`},
		{mysqldialect.New(), filter.Contains("word", `a\%`), "CONVERT(`word` USING utf8mb4) COLLATE utf8mb4_bin LIKE '%a\\\\!%%' ESCAPE '!'"},
		{mysqldialect.New(), filter.HasPrefixFold("word", "Ä"), "LOWER(CONVERT(`word` USING utf8mb4)) COLLATE utf8mb4_bin LIKE LOWER('Ä%') ESCAPE '!'"},

		{mysqldialect.New(), filter.Eq("word", `a\`), "`word` = 'a\\\\'"},
		{mysqldialect.New(), filter.Eq("flag", true), "`flag` <> 0"},
		{mysqldialect.New(), filter.Lt("f", 1.5), "`f` < 1.5e+00"},
		{mysqldialect.New(), filter.Lt("f", math.Inf(-1)), "(`f` IS NULL AND NULL)"},
		{mysqldialect.New(), filter.Eq("word", "\xff"), "CAST(CONVERT(`word` USING utf8mb4) AS BINARY) = X'ff'"},
	} {
		types := pg
		if tt.d.Name() != dialect.PG {
			types = nil
		}
		got, err := filterText(t, tt.d, tt.e, types)
		if err != nil || got != tt.want {
			t.Errorf("%s: %v\ngot  %s, %v\nwant %s", tt.d.Name(), tt.e, got, err, tt.want)
		}
	}
}

func TestFilterTextErrors(t *testing.T) {
	_, err := filterText(t, pgdialect.New(), filter.And(filter.Eq("n", 1), filter.Eq("nope", 1)), nil)
	var unknown *filter.UnknownColumnError
	if !errors.As(err, &unknown) || unknown.Column != "nope" {
		t.Errorf("got %v", err)
	}
	for _, e := range []filter.Expr{filter.Eq("n", nil), filter.In("n", 1, "x"), filter.Not(nil)} {
		if _, err := filterText(t, pgdialect.New(), e, nil); err == nil || !strings.HasPrefix(err.Error(), "bunsource: writing the filter") {
			t.Errorf("%v: got %v", e, err)
		}
	}
}

// TestSQLiteFloatsAreComputedExactly: whatever SQLite's reading of decimals
// does, the literals are the floats to the bit.
func TestSQLiteFloatsAreComputedExactly(t *testing.T) {
	db := loaderSQLite(t)
	edges := append(slices.Clone(specimenFloats), -math.MaxFloat64, -5e-324, 1<<62, 1<<61+1<<20, 0.5, -3)
	rapid.Check(t, func(rt *rapid.T) {
		want := rapid.OneOf(rapid.Float64(), rapid.SampledFrom(edges)).Draw(rt, "float")
		var got float64
		if err := db.QueryRowContext(t.Context(), "SELECT "+sqlgen.SQLiteFloat(want)).Scan(&got); err != nil || got != want {
			rt.Fatalf("%s is %v, %v; want %v", sqlgen.SQLiteFloat(want), got, err, want)
		}
	})
}

// TestFiltersOfManyParts: databases limit how deep an expression is nested,
// and a chain counts.
func TestFiltersOfManyParts(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		if db.Dialect().Name() == dialect.SQLite {
			mustExec(t, db, specimensSQLite)
		} else {
			mustExec(t, db, specimensPostgres)
		}
		parts := make([]filter.Expr, 1200) // SQLite nests 1000 deep
		if buntest.Long() {
			parts = make([]filter.Expr, 4000)
		}
		mustExec(t, db, `INSERT INTO "Specimens" (id, word) VALUES (1, ?), (2, 'x')`, fmt.Sprintf("w%d", len(parts)-1))
		l := preparedLoader[specimen](t, db)
		list := make([]any, len(parts))
		for i := range parts {
			word := fmt.Sprintf("w%d", i)
			parts[i], list[i] = filter.And(filter.Eq("word", word), filter.NotNull("id")), word
		}
		for _, e := range []filter.Expr{filter.Or(parts...), filter.In("word", list...)} {
			rows, err := l.Query(t.Context(), driver.Query{Filter: e})
			if err != nil || len(rows) != 1 || rows[0].ID != 1 {
				t.Errorf("got %d rows, %v", len(rows), err)
			}
		}
	})
}

// TestTimesOfSQLiteInAnyForm: SQLite has no type for times, so that writers
// differ in how they write the same one.
func TestTimesOfSQLiteInAnyForm(t *testing.T) {
	db := loaderSQLite(t)
	mustExec(t, db, specimensSQLite)
	noon := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	for i, text := range []string{
		"2024-02-29 11:59:59", "2024-02-29T11:59:59.999Z", "2024-02-29 11:59:59.999999+00:00", // before
		"2024-02-29 12:00:00", "2024-02-29 12:00:00+00:00", "2024-02-29T12:00:00Z", "2024-02-29T12:00:00.000Z", // noon
		"2024-02-29 12:00:00.000001+00:00", "2024-02-29T12:00:00.001Z", "2024-02-29 13:00:00+00:00", "2024-02-29T13:30:00+01:00", // after
	} {
		mustExec(t, db, `INSERT INTO "Specimens" (id, at) VALUES (?, ?)`, i, text)
	}
	mustExec(t, db, `INSERT INTO "Specimens" (id) VALUES (99)`)
	before, same, after := []int64{0, 1, 2}, []int64{3, 4, 5, 6}, []int64{7, 8, 9, 10}
	l := preparedLoader[specimen](t, db)
	for _, tt := range []struct {
		e    filter.Expr
		want []int64
	}{
		{filter.Eq("at", noon), same},
		{filter.Ne("at", noon), slices.Concat(before, after)},
		{filter.Lt("at", noon), before},
		{filter.Le("at", noon), slices.Concat(before, same)},
		{filter.Gt("at", noon), after},
		{filter.Ge("at", noon), slices.Concat(same, after)},
		{filter.Not(filter.Lt("at", noon.In(time.FixedZone("", 7200)))), slices.Concat(same, after)},
		{filter.In("at", noon, noon.Add(time.Hour)), append(slices.Clone(same), 9)},
		{filter.NotIn("at", noon), slices.Concat(before, after)},
	} {
		rows, err := l.Query(t.Context(), driver.Query{Filter: tt.e})
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for _, r := range rows {
			got = append(got, r.ID)
		}
		slices.Sort(got)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%v: got %v, want %v", tt.e, got, tt.want)
		}
	}
}
