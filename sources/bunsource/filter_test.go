package bunsource

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

// specimen has a column of each kind, and some that Go and the database see
// differently.
type specimen struct {
	bun.BaseModel `bun:"table:Specimens,alias:sp"`
	ID            int64      `bun:",pk"`
	Flag          *bool      `bun:"flag"`
	N             *int64     `bun:"n"`
	Small         *int32     `bun:"small"`
	F             *float64   `bun:"f"`
	R             *float32   `bun:"r"`
	Price         *string    `bun:"price"`
	Word          *string    `bun:"word"` // compared by its bytes
	Name          *string    `bun:"Na me"`
	Raw           []byte     `bun:"raw"`
	At            *time.Time `bun:"at"`
	Wall          *time.Time `bun:"wall"`
	Day           *time.Time `bun:"day"`
	UID           *string    `bun:"uid"`
}

const (
	specimensSQLite = `CREATE TABLE "Specimens" (id INTEGER PRIMARY KEY, flag BOOLEAN, n INTEGER, small INTEGER, f DOUBLE PRECISION, r REAL,
		price NUMERIC, word TEXT, "Na me" VARCHAR(20), raw BLOB, at TIMESTAMP, wall TIMESTAMP, day DATE, uid TEXT)`
	specimensPostgres = `CREATE TABLE "Specimens" (id bigint PRIMARY KEY, flag boolean, n bigint, small integer, f double precision, r real,
		price numeric, word text COLLATE "C", "Na me" varchar COLLATE "en-x-icu", raw bytea, at timestamptz(3), wall timestamp, day date, uid uuid)`
)

// Values that comparisons trip over. The rows are drawn from them, and so are
// the literals, which may also be what no column holds.
var (
	specimenInts   = []int64{0, 1, -1, 2, 1 << 31, 1<<31 - 1, 1 << 53, 1<<53 + 1, -(1<<53 + 1), math.MaxInt64, math.MinInt64}
	specimenFloats = []float64{
		0, math.Copysign(0, -1), 0.1, -0.1, 0.30000000000000004, 1e23, 1e300, 5e-324, 2.2250738585072014e-308, math.MaxFloat64,
		1 << 53, 1 << 63, -1 << 63, 1.5, math.Pi, float64(float32(0.1)),
	}
	specimenPrices = []string{"0", "-0.00", "1.5", "1.50", "0.1", "9007199254740993", "12345678901234567890.123456789", "-1e-20", "100"}
	specimenTexts  = []string{
		"", " ", "a", "A", "a ", "a\t", "b", "B", "é", "e\u0301", "E", "z", "Z", "ß", "ss", "ﬁ", "fi", "10", "9", "-", "a-b", "ab",
		"it's", `back\slash`, "what?", "100%", "a_b", "hey!", "É", "日本", "🎵", "\uffff", "\u00ad", "a\u200b",
	}
	oddTexts      = []string{"\x00", "a\x00", "\xff", "a\xc3", "\xed\xa0\x80"}
	specimenBytes = []string{"", "\x00", "a", "a\x00", "\xff", "\x80a"}
	specimenTimes = []time.Time{
		time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC),
		time.Date(2024, 2, 29, 12, 0, 0, 1e6, time.UTC),
		time.Date(2024, 2, 29, 12, 0, 0, 5e8, time.UTC),
		time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC),
		time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC),
		time.Date(1969, 12, 31, 23, 59, 59, 999e6, time.UTC),
		time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	}
	oddTimes = []time.Time{
		time.Date(2024, 2, 29, 12, 0, 0, 1, time.UTC), // finer than Postgres keeps
		time.Date(2024, 2, 29, 12, 0, 0, 999_999, time.UTC),
		time.Date(2024, 2, 29, 14, 0, 0, 0, time.FixedZone("", 2*3600)),
		time.Date(2024, 2, 29, 1, 0, 0, 0, time.FixedZone("", 2*3600)), // another day in UTC
		time.Date(1969, 12, 31, 23, 59, 59, 999999999, time.UTC),
		time.Date(0, 12, 31, 0, 0, 0, 0, time.UTC), // 1 BC
		time.Date(-44, 3, 15, 0, 0, 0, 0, time.UTC),
		time.Date(-100_000, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(12_000, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(1_000_000, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(100_000_000, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	specimenUUIDs = []string{
		"00000000-0000-0000-0000-000000000000", "0a000000-0000-4000-8000-000000000001", "a0000000-0000-4000-8000-000000000001",
		"ffffffff-ffff-ffff-ffff-ffffffffffff",
	}
	oddUUIDs = []string{"", "A0000000-0000-4000-8000-000000000001", "a", "garbage", "{00000000-0000-0000-0000-000000000000}", "\xff"}
)

func oneOf[T any](t *rapid.T, name string, from ...[]T) T {
	return rapid.SampledFrom(slices.Concat(from...)).Draw(t, name)
}

func maybe[T any](t *rapid.T, name string, from ...[]T) *T {
	if rapid.IntRange(0, 4).Draw(t, name+" is NULL") == 0 {
		return nil
	}
	v := oneOf(t, name, from...)
	return &v
}

func genSpecimen(d dialect.Name) *rapid.Generator[specimen] {
	floats, prices := specimenFloats, specimenPrices
	if d == dialect.PG { // the database that has them
		floats = append(slices.Clone(floats), math.NaN(), math.Inf(1), math.Inf(-1))
		prices = append(slices.Clone(prices), "NaN", "Infinity", "-Infinity")
	}
	return rapid.Custom(func(t *rapid.T) specimen {
		s := specimen{
			Flag:  maybe(t, "flag", []bool{true, false}),
			N:     maybe(t, "n", specimenInts),
			Small: maybe(t, "small", []int32{0, 1, -1, math.MaxInt32, math.MinInt32}),
			F:     maybe(t, "f", floats),
			R:     maybe(t, "r", []float32{0, 0.1, 1.5, 16777216, -0.1, math.MaxFloat32}),
			Price: maybe(t, "price", prices),
			Word:  maybe(t, "word", specimenTexts),
			Name:  maybe(t, "name", specimenTexts),
			At:    maybe(t, "at", specimenTimes),
			Wall:  maybe(t, "wall", specimenTimes),
			Day:   maybe(t, "day", specimenTimes[3:5]),
			UID:   maybe(t, "uid", specimenUUIDs),
		}
		if raw := maybe(t, "raw", specimenBytes); raw != nil {
			s.Raw = []byte(*raw)
		}
		return s
	})
}

// genLiteral draws a literal for a column.
func genLiteral(column string) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		switch column {
		case "flag":
			return rapid.Bool().Draw(t, "bool")
		case "id":
			return rapid.Int64Range(0, 80).Draw(t, "id")
		case "n", "small":
			return rapid.OneOf(rapid.SampledFrom(specimenInts), rapid.Int64()).Draw(t, "int")
		case "f", "r":
			f := oneOf(t, "float", specimenFloats, []float64{math.NaN(), math.Inf(1), math.Inf(-1)})
			switch rapid.IntRange(0, 8).Draw(t, "near") {
			case 0:
				return math.Nextafter(f, math.Inf(1))
			case 1:
				return math.Nextafter(f, math.Inf(-1))
			case 2:
				return rapid.Float64().Draw(t, "any")
			}
			return f
		case "price":
			return oneOf(t, "price", specimenPrices, []string{"NaN", "Infinity", "-Infinity", "1e100", "0.10000000000000000000001"})
		case "word", "Na me":
			return oneOf(t, "text", specimenTexts, oddTexts)
		case "uid":
			return oneOf(t, "uuid", specimenUUIDs, oddUUIDs)
		case "raw":
			return []byte(oneOf(t, "bytes", specimenBytes, oddTexts))
		default:
			return oneOf(t, "time", specimenTimes, oddTimes)
		}
	})
}

// searched are the columns of texts.
var searched = map[string]bool{"word": true, "Na me": true, "uid": true}

// genSearch draws a search for a part of what the columns hold, or for what a
// pattern would take for something else.
func genSearch(column string) *rapid.Generator[filter.Expr] {
	return rapid.Custom(func(t *rapid.T) filter.Expr {
		search := rapid.SampledFrom([]func(string, any) filter.Expr{
			filter.Contains, filter.Contains, filter.ContainsFold, filter.HasPrefix, filter.HasPrefix, filter.HasPrefixFold,
		}).Draw(t, "search")
		text := []rune(oneOf(t, "text", specimenTexts, specimenUUIDs, []string{"%", "_", "a_", "!", "!!", "\\", "*", "?", "AB", "É", "SS", "\U0010ffff"}))
		from := rapid.IntRange(0, len(text)).Draw(t, "from")
		return search(column, string(text[from:rapid.IntRange(from, len(text)).Draw(t, "to")]))
	})
}

// genFilter draws expressions over the columns.
func genFilter(columns []string, depth int) *rapid.Generator[filter.Expr] {
	return rapid.Custom(func(t *rapid.T) filter.Expr {
		if depth > 0 && rapid.IntRange(0, 2).Draw(t, "group") > 0 {
			parts := rapid.SliceOfN(genFilter(columns, depth-1), 0, 3)
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				return filter.And(parts.Draw(t, "and")...)
			case 1:
				return filter.Or(parts.Draw(t, "or")...)
			default:
				return filter.Not(genFilter(columns, depth-1).Draw(t, "not"))
			}
		}
		column := rapid.SampledFrom(columns).Draw(t, "column")
		if searched[column] && rapid.IntRange(0, 2).Draw(t, "search") == 0 {
			return genSearch(column).Draw(t, "sought")
		}
		switch rapid.IntRange(0, 9).Draw(t, "test") {
		case 0:
			return filter.IsNull(column)
		case 1:
			return filter.NotNull(column)
		case 2:
			return filter.In(column, rapid.SliceOfN(genLiteral(column), 0, 4).Draw(t, "in")...)
		case 3:
			return filter.NotIn(column, rapid.SliceOfN(genLiteral(column), 0, 4).Draw(t, "not in")...)
		default:
			op := rapid.SampledFrom([]func(string, any) filter.Expr{
				filter.Eq, filter.Ne, filter.Lt, filter.Le, filter.Gt, filter.Ge,
			}).Draw(t, "op")
			return op(column, genLiteral(column).Draw(t, "literal"))
		}
	})
}

// TestFiltersMeanTheSameInGoAndInTheDatabase is the proof of the exactness
// rules: whatever counts as exact finds the same rows in both.
func TestFiltersMeanTheSameInGoAndInTheDatabase(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		open   func(testing.TB) *bun.DB
		create string
		exact  map[string]filter.Exactness // all others are exact
	}{
		"sqlite": {
			func(t testing.TB) *bun.DB { return loaderSQLite(t) }, specimensSQLite,
			map[string]filter.Exactness{
				"small": 0, "r": 0, "price": 0, "at": 0, "wall": 0, "day": 0,
				"word": filter.Exact | filter.ExactFold, "Na me": filter.Exact | filter.ExactFold, "uid": filter.Exact | filter.ExactFold,
			},
		},
		"postgres": {
			func(t testing.TB) *bun.DB { return loaderPostgres(t) }, specimensPostgres,
			map[string]filter.Exactness{"Na me": filter.ExactEqual, "word": filter.Exact | filter.ExactFold},
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := tt.open(t)
			mustExec(t, db, tt.create)
			var rows []specimen
			gen := genSpecimen(db.Dialect().Name())
			for i := range 60 {
				row := gen.Example(i)
				row.ID = int64(i)
				rows = append(rows, row)
			}
			if _, err := db.NewInsert().Model(&rows).Exec(t.Context()); err != nil {
				t.Fatal(err)
			}
			l := preparedLoader[specimen](t, db)
			schema, err := l.Schema()
			if err != nil {
				t.Fatal(err)
			}
			var columns, exact []string
			for _, c := range schema.Columns {
				want, ok := tt.exact[c.Name]
				if !ok {
					want = filter.Exact
				}
				if c.Exact != want {
					t.Errorf("column %q of kind %s is %s, want %s", c.Name, c.Kind, c.Exact, want)
				}
				columns = append(columns, c.Name)
				if c.Exact != 0 {
					exact = append(exact, c.Name)
				}
			}
			compareFilters(t, l, schema, columns, exact)
		})
	}
}

func compareFilters(t *testing.T, l *Loader[specimen], schema driver.Schema, columns, exact []string) {
	loaded := loadAll(t, l)
	exactness := func(column string) filter.Exactness { return schema.Columns[schema.Column(column)].Exact }
	find := func(column string) (int, value.Kind, bool) {
		i := schema.Column(column)
		return i, schema.Columns[i].Kind, true
	}
	var total, compared, selective int
	rapid.Check(t, func(rt *rapid.T) {
		from := exact
		if rapid.IntRange(0, 4).Draw(rt, "any column") == 0 {
			from = columns
		}
		for range 4 {
			e := genFilter(from, 2).Draw(rt, "filter")
			total++
			found, err := l.Query(t.Context(), driver.Query{Filter: e})
			if err != nil {
				rt.Fatalf("%v: %v", e, err)
			}
			if !filter.IsExact(e, exactness) {
				continue
			}
			compared++
			program, err := filter.Compile(schema.Spelled(e), find)
			if err != nil {
				rt.Fatalf("%v: %v", e, err)
			}
			var want, got []int64
			for _, r := range loaded {
				if program.Eval(func(i int) value.Value { return l.Value(r, i) }) == filter.True {
					want = append(want, r.ID)
				}
			}
			for _, r := range found {
				got = append(got, r.ID)
			}
			slices.Sort(want)
			slices.Sort(got)
			if len(want) > 0 && len(want) < len(loaded) {
				selective++
			}
			if !slices.Equal(got, want) {
				rt.Fatalf("%v\nGo finds       %v\ndatabase finds %v\n%s", e, want, got, differing(loaded, want, got))
			}
		}
	})
	t.Logf("of %d expressions %d were exact, %d of them chose some of the rows", total, compared, selective)
	if compared*2 < total || selective*3 < compared {
		t.Errorf("of %d expressions only %d were exact, and %d of them chose some of the rows: the test says little", total, compared, selective)
	}
}

// differing shows the rows that only one side found.
func differing(rows []*specimen, a, b []int64) string {
	var s strings.Builder
	for _, r := range rows {
		if slices.Contains(a, r.ID) != slices.Contains(b, r.ID) {
			fmt.Fprintf(&s, "row %d:", r.ID)
			for name, p := range map[string]any{
				"flag": r.Flag, "n": r.N, "small": r.Small, "f": r.F, "r": r.R, "price": r.Price, "word": r.Word, "Na me": r.Name, "at": r.At, "wall": r.Wall,
				"day": r.Day, "uid": r.UID, "raw": r.Raw,
			} {
				v, _ := value.Of(p)
				fmt.Fprintf(&s, " %s=%q", name, v)
			}
			s.WriteString("\n")
		}
	}
	return s.String()
}
