package bunsource

import (
	"database/sql"
	"encoding/json"
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
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/sourcetest/buntest"
)

// upper is a text that its type writes and reads itself.
type upper string

func (u *upper) Scan(src any) error {
	*u = upper(strings.ToUpper(fmt.Sprint(src)))
	return nil
}

type status string

type traits struct {
	bun.BaseModel `bun:"table:traits"`
	Flag          bool
	I64           int64
	I32           int32
	I16           *int16
	NullI16       sql.NullInt16
	U8            uint8
	U32           uint32
	U64           uint64
	F64           float64
	F32           float32
	NullF         sql.Null[float64]
	Text          string
	Status        *status
	NullText      sql.NullString
	Upper         upper
	Bytes         []byte
	JSON          json.RawMessage
	Map           map[string]int
	Any           any
	Tags          []string `bun:",array"`
	At            time.Time
	NullAt        bun.NullTime
	SQLAt         *sql.NullTime
	UUID          uuid.UUID
	NullUUID      uuid.NullUUID
	Amount        string `bun:",type:numeric(10,2)"`
}

func TestColumnTraits(t *testing.T) {
	dialects := map[dialect.Name]schema.Dialect{dialect.SQLite: sqlitedialect.New(), dialect.PG: pgdialect.New(), dialect.MySQL: mysqldialect.New()}
	tables := make(map[dialect.Name]*schema.Table)
	for name, d := range dialects {
		tables[name] = buntest.Offline(t, d).Table(reflect.TypeFor[traits]())
	}
	const none, equal, exact = filter.Exactness(0), filter.ExactEqual, filter.Exact
	for _, tt := range []struct {
		d         dialect.Name
		field     string
		sqlType   string // "" for unknown
		collation string
		kind      value.Kind
		want      filter.Exactness
	}{
		// Before the database was asked, nothing is exact.
		{dialect.SQLite, "I64", "", "", value.KindInt, none},
		{dialect.PG, "Amount", "", "", value.KindDecimal, none},
		{dialect.PG, "U64", "", "", value.KindDecimal, none},
		{dialect.PG, "NullAt", "", "", value.KindTime, none},
		{dialect.PG, "NullUUID", "", "", value.KindText, none},

		{dialect.SQLite, "I64", "BIGINT", "BINARY", value.KindInt, exact},
		{dialect.SQLite, "I64", "NUMERIC", "BINARY", value.KindInt, none},
		{dialect.SQLite, "I64", "TEXT", "BINARY", value.KindInt, none},
		{dialect.SQLite, "I32", "INTEGER", "BINARY", value.KindInt, none}, // truncates
		{dialect.SQLite, "NullI16", "INTEGER", "BINARY", value.KindInt, exact},
		{dialect.SQLite, "U64", "INTEGER", "BINARY", value.KindDecimal, none}, // wraps
		{dialect.SQLite, "Flag", "BOOLEAN", "BINARY", value.KindBool, exact},
		{dialect.SQLite, "Flag", "TEXT", "BINARY", value.KindBool, none},
		{dialect.SQLite, "F64", "REAL", "BINARY", value.KindFloat, exact},
		{dialect.SQLite, "F64", "DECIMAL(10,2)", "BINARY", value.KindFloat, none},
		{dialect.SQLite, "F32", "REAL", "BINARY", value.KindFloat, none},
		{dialect.SQLite, "NullF", "FLOAT", "BINARY", value.KindFloat, exact},
		{dialect.SQLite, "Text", "NVARCHAR(160)", "BINARY", value.KindText, exact},
		{dialect.SQLite, "Text", "TEXT", "unknown", value.KindText, none},
		{dialect.SQLite, "Text", "NUMERIC(10,2)", "BINARY", value.KindDecimal, none},
		{dialect.SQLite, "Text", "DATETIME", "BINARY", value.KindTime, none}, // drivers read it as a time
		{dialect.SQLite, "Upper", "TEXT", "BINARY", value.KindText, none},
		{dialect.SQLite, "Status", "TEXT", "BINARY", value.KindText, exact},
		{dialect.SQLite, "Bytes", "BLOB", "BINARY", value.KindBytes, exact},
		{dialect.SQLite, "Bytes", "TEXT", "BINARY", value.KindText, exact},
		{dialect.SQLite, "At", "TIMESTAMP", "BINARY", value.KindTime, none},
		{dialect.SQLite, "UUID", "VARCHAR", "BINARY", value.KindText, none}, // it reads upper case as lower case

		{dialect.PG, "I64", "bigint", "", value.KindInt, exact},
		{dialect.PG, "I32", "bigint", "", value.KindInt, none},
		{dialect.PG, "I32", "integer", "", value.KindInt, exact},
		{dialect.PG, "I16", "smallint", "", value.KindInt, exact},
		{dialect.PG, "U8", "smallint", "", value.KindInt, none},
		{dialect.PG, "U32", "bigint", "", value.KindInt, none},
		{dialect.PG, "Flag", "boolean", "", value.KindBool, exact},
		{dialect.PG, "F64", "double precision", "", value.KindFloat, exact},
		{dialect.PG, "F32", "real", "", value.KindFloat, exact},
		{dialect.PG, "F32", "double precision", "", value.KindFloat, none},
		{dialect.PG, "F64", "numeric(10,2)", "", value.KindFloat, none},
		{dialect.PG, "Text", "numeric(10,2)", "", value.KindDecimal, exact},
		{dialect.PG, "NullText", "character varying(20)", "C", value.KindText, exact | filter.ExactFold},
		{dialect.PG, "Text", "text", "en_US.utf8", value.KindText, equal},
		{dialect.PG, "Text", "text", "nondeterministic", value.KindText, none},
		{dialect.PG, "Text", "character(10)", "C", value.KindText, none}, // padded
		{dialect.PG, "Text", "citext", "C", value.KindText, none},
		{dialect.PG, "Text", "mood", "", value.KindText, none}, // an enum
		{dialect.PG, "UUID", "uuid", "", value.KindText, exact},
		{dialect.PG, "NullUUID", "uuid", "", value.KindText, exact},
		{dialect.PG, "Text", "jsonb", "", value.KindOpaque, none},
		{dialect.PG, "Bytes", "bytea", "", value.KindBytes, exact},
		{dialect.PG, "JSON", "jsonb", "", value.KindOpaque, none},
		{dialect.PG, "Map", "jsonb", "", value.KindOpaque, none},
		{dialect.PG, "Any", "text", "C", value.KindOpaque, none},
		{dialect.PG, "Tags", "text[]", "C", value.KindOpaque, none},
		{dialect.PG, "At", "timestamp(3) with time zone", "", value.KindTime, exact},
		{dialect.PG, "NullAt", "timestamp without time zone", "", value.KindTime, exact},
		{dialect.PG, "SQLAt", "date", "", value.KindTime, exact},
		{dialect.PG, "At", "time without time zone", "", value.KindTime, none},

		{dialect.MySQL, "I64", "bigint", "", value.KindInt, exact},
		{dialect.MySQL, "I64", "bigint unsigned", "", value.KindInt, none},
		{dialect.MySQL, "U64", "bigint unsigned", "", value.KindDecimal, exact},
		{dialect.MySQL, "U32", "int(10) unsigned", "", value.KindInt, exact},
		{dialect.MySQL, "I32", "int(11)", "", value.KindInt, exact},
		{dialect.MySQL, "I32", "bigint(20)", "", value.KindInt, none},
		{dialect.MySQL, "Flag", "tinyint(1)", "", value.KindBool, exact},
		{dialect.MySQL, "Text", "varchar(20)", "utf8mb4_bin", value.KindText, none},
		{dialect.MySQL, "At", "datetime(6)", "", value.KindTime, none},
	} {
		table := tables[tt.d]
		i := slices.IndexFunc(table.Fields, func(f *schema.Field) bool { return f.GoName == tt.field })
		if i < 0 {
			t.Fatalf("no field %s", tt.field)
		}
		facts := columnFacts{SQLType: tt.sqlType, Collation: tt.collation, Deterministic: tt.collation != "nondeterministic", Known: tt.sqlType != ""}
		kind, got := columnTraits(tt.d, table.Fields[i], facts)
		if kind != tt.kind || got != tt.want {
			t.Errorf("%s: %s in a column %q %s: got %s, %s; want %s, %s", tt.d, tt.field, tt.sqlType, tt.collation, kind, got, tt.kind, tt.want)
		}
	}
}

// filterText returns what a filter is written as, with the facts given by type.
func filterText(t *testing.T, d schema.Dialect, e filter.Expr, types map[string]string) (string, error) {
	t.Helper()
	db := buntest.Offline(t, d)
	m, err := newModel(db, "", reflect.TypeFor[specimen]())
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range m.schema.Columns {
		if typ := types[c.Name]; typ != "" {
			m.describe(i, columnState{columnFacts: columnFacts{SQLType: typ, Known: true, Deterministic: true}})
		}
	}
	query, args, err := m.where(e)
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
		if err := db.QueryRowContext(t.Context(), "SELECT "+sqliteFloat(want)).Scan(&got); err != nil || got != want {
			rt.Fatalf("%s is %v, %v; want %v", sqliteFloat(want), got, err, want)
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
