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
	"github.com/uptrace/bun/dialect/feature"
	"github.com/uptrace/bun/dialect/mysqldialect"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/bunsource/internal/exact"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
	"github.com/binderyhq/bindery/sources/bunsource/internal/sqlgen"
	"github.com/binderyhq/bindery/sources/sourcetest/buntest"
)

// sortable has a column of every kind that can be ordered, as they come: some
// tell NULL, some do not, some cannot hold it.
type sortable struct {
	bun.BaseModel `bun:"table:sortable,alias:s"`
	ID            int64      `bun:",pk"`
	Int           *int64     `bun:"int"`
	Plain         int64      `bun:"plain"`
	Zeroed        int64      `bun:"zeroed,nullzero"`
	Flag          *bool      `bun:"flag"`
	Float         *float64   `bun:"float"`
	Text          *string    `bun:"text"`
	Word          string     `bun:"word"`
	Code          string     `bun:"code,notnull"`
	Bytes         []byte     `bun:"bytes"`
	At            *time.Time `bun:"at"`
	Since         time.Time  `bun:"since,nullzero"`
	Price         *string    `bun:"price,type:numeric"`
}

var sortableColumns = []string{"id", "int", "plain", "zeroed", "flag", "float", "text", "word", "code", "bytes", "at", "since", "price"}

func sortableRows(t *rapid.T) []sortable {
	text := rapid.OneOf(
		rapid.SampledFrom([]string{"", "a", "A", "b", "B", "ä", "a\u0308", "Z", "z ", "z", "z\t", "10", "9", "🎵", "ﬀ", "-", "a-b", "ab"}),
		rapid.StringOf(rapid.RuneFrom([]rune("aAbBäß é-_9\t"))))
	instant := rapid.Custom(func(t *rapid.T) time.Time {
		return time.UnixMicro(rapid.Int64Range(-1e15, 2e15).Draw(t, "at")).UTC()
	})
	maybe := func(name string, t *rapid.T) bool { return rapid.IntRange(0, 3).Draw(t, name) > 0 }
	row := rapid.Custom(func(t *rapid.T) sortable {
		var r sortable
		if maybe("int?", t) {
			v := rapid.SampledFrom([]int64{0, -1, 1, 2, math.MinInt64, math.MaxInt64}).Draw(t, "int")
			r.Int = &v
		}
		r.Plain = rapid.Int64Range(-2, 2).Draw(t, "plain")
		r.Zeroed = rapid.Int64Range(-2, 2).Draw(t, "zeroed")
		if maybe("flag?", t) {
			v := rapid.Bool().Draw(t, "flag")
			r.Flag = &v
		}
		if maybe("float?", t) {
			v := rapid.SampledFrom([]float64{0, -0.5, 0.1, 0.2, 1e300, -1e300}).Draw(t, "float")
			r.Float = &v
		}
		if maybe("text?", t) {
			v := text.Draw(t, "text")
			r.Text = &v
		}
		r.Word, r.Code = text.Draw(t, "word"), text.Draw(t, "code")
		if maybe("bytes?", t) {
			r.Bytes = rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "bytes")
		}
		if maybe("at?", t) {
			v := instant.Draw(t, "at")
			r.At = &v
		}
		if maybe("since?", t) {
			r.Since = instant.Draw(t, "since")
		}
		if maybe("price?", t) {
			v := rapid.SampledFrom([]string{"0", "1.5", "1.50", "-3", "10", "9", "0.001"}).Draw(t, "price")
			r.Price = &v
		}
		return r
	})
	rows := rapid.SliceOfN(row, 1, 30).Draw(t, "rows")
	for i := range rows {
		rows[i].ID = int64(i)
	}
	return rows
}

// The first rows in the database's order are the first in the engine's: those
// that ordering by package value finds.
func TestOrderIsTheEngines(t *testing.T) {
	t.Parallel()
	for _, backend := range []struct {
		name string
		open func(t *testing.T) *bun.DB
	}{
		{"sqlite", func(t *testing.T) *bun.DB { return loaderSQLite(t, walMode) }},
		{"postgres", func(t *testing.T) *bun.DB { return loaderPostgres(t) }},
		{"postgres, icu", func(t *testing.T) *bun.DB {
			return loaderPostgres(t, "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'und'")
		}},
	} {
		t.Run(backend.name, func(t *testing.T) {
			db := backend.open(t)
			createTable[sortable](t, db)
			fresh, prepared := NewLoader[sortable](db), preparedLoader[sortable](t, db)
			ctx := t.Context()
			rapid.Check(t, func(t *rapid.T) {
				rows := sortableRows(t)
				if _, err := db.NewRaw("DELETE FROM sortable").Exec(ctx); err != nil {
					t.Fatal(err)
				}
				if _, err := db.NewInsert().Model(&rows).Exec(ctx); err != nil {
					t.Fatal(err)
				}
				// Bun never writes NULL for a plain field, others do.
				if _, err := db.NewRaw("UPDATE sortable SET plain = NULL, word = NULL WHERE id % 5 = 1").Exec(ctx); err != nil {
					t.Fatal(err)
				}
				l := rapid.SampledFrom([]*Loader[sortable]{fresh, prepared}).Draw(t, "loader")
				var order []driver.Order
				for _, c := range rapid.SliceOfNDistinct(rapid.SampledFrom(sortableColumns[1:]), 1, 3, rapid.ID[string]).Draw(t, "order") {
					order = append(order, driver.Order{Column: c, Desc: rapid.Bool().Draw(t, "desc"), Nulls: driver.Nulls(rapid.IntRange(0, 2).Draw(t, "nulls"))})
				}
				order = append(order, driver.Order{Column: "id", Desc: rapid.Bool().Draw(t, "desc")})
				limit := rapid.IntRange(1, len(rows)).Draw(t, "limit")

				got, err := l.Query(ctx, driver.Query{Order: order, Limit: limit})
				if err != nil {
					t.Fatal(err)
				}
				all, err := l.Load(ctx, nil)
				if err != nil {
					t.Fatal(err)
				}
				slices.SortFunc(all, func(a, b *sortable) int { return engineOrder(l, order, a, b) })
				for i, want := range all[:limit] {
					if got[i].ID != want.ID {
						t.Fatalf("order %+v: row %d is %+v, want %+v", order, i, *got[i], *want)
					}
				}
			})
		})
	}
}

// engineOrder compares rows as core's documentation says, apart from this
// package's own comparison.
func engineOrder(l *Loader[sortable], order []driver.Order, a, b *sortable) int {
	s, _ := l.Schema()
	for _, o := range order {
		x, y := l.Value(a, s.Column(o.Column)), l.Value(b, s.Column(o.Column))
		if x == y {
			continue
		}
		nullsFirst := o.Nulls == driver.NullsFirst || o.Nulls == driver.NullsLowest && !o.Desc
		var less bool
		switch {
		case x.IsNull():
			less = nullsFirst
		case y.IsNull():
			less = !nullsFirst
		default:
			less = (value.Compare(x, y) < 0) != o.Desc
		}
		if less {
			return -1
		}
		return 1
	}
	return 0
}

// Times that several writers wrote in several forms are still ordered.
func TestOrderOfTimesInSQLite(t *testing.T) {
	db := loaderSQLite(t)
	createTable[sortable](t, db)
	texts := []string{"2024-01-01", "2024-01-01T00:00:01Z", "2024-01-01 00:00:02", "2024-01-01 01:00:03+01:00", "2023-12-31T23:00:04-01:00"}
	for i, text := range texts {
		mustExec(t, db, "INSERT INTO sortable (id, code, at) VALUES (?, '', ?)", i, text)
	}
	l := preparedLoader[sortable](t, db)
	rows, err := l.Query(t.Context(), driver.Query{Limit: 10, Order: []driver.Order{{Column: "at"}, {Column: "id"}}})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range rows {
		if r.ID != int64(i) {
			t.Errorf("row %d is %q", i, texts[r.ID])
		}
	}
}

func TestOrderByWhatGoCannotOrder(t *testing.T) {
	type doc struct {
		bun.BaseModel `bun:"table:docs"`
		ID            int64          `bun:",pk"`
		Body          map[string]any `bun:"type:jsonb"`
	}
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		createTable(t, db, doc{ID: 1, Body: map[string]any{"a": 1}})
		l := preparedLoader[doc](t, db)
		if rows := loadAll(t, l); len(rows) != 1 || rows[0].Body["a"] != 1.0 {
			t.Errorf("rows %+v", rows)
		}
		_, err := l.Query(t.Context(), driver.Query{Limit: 1, Order: []driver.Order{{Column: "body"}}})
		if err == nil || !strings.Contains(err.Error(), `ordering by column "body"`) {
			t.Errorf("error %v", err)
		}
	})
}

// All conditions of a query hold together.
func TestQueryConditionsAddUp(t *testing.T) {
	type item struct {
		bun.BaseModel `bun:"table:items,alias:i"`
		ID            int64  `bun:",pk"`
		Kind          string `bun:",notnull"`
		Size          int64  `bun:",notnull"`
	}
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		var items []item
		for i := range 20 {
			items = append(items, item{ID: int64(i), Kind: string(rune('a' + i%2)), Size: int64(i / 2)})
		}
		createTable(t, db, items...)
		l := preparedLoader[item](t, db)
		rapid.Check(t, func(rt *rapid.T) {
			var q driver.Query
			want := func(item) bool { return true }
			also := func(cond func(item) bool) {
				before := want
				want = func(i item) bool { return before(i) && cond(i) }
			}
			if rapid.Bool().Draw(rt, "keys") {
				ids := rapid.SliceOfN(rapid.Int64Range(0, 25), 1, 10).Draw(rt, "ids")
				for _, id := range ids {
					q.Keys = append(q.Keys, driver.KeyOf(id))
				}
				also(func(i item) bool { return slices.Contains(ids, i.ID) })
			}
			if rapid.Bool().Draw(rt, "filter") {
				q.Filter = filter.Eq("kind", "a")
				also(func(i item) bool { return i.Kind == "a" })
			}
			if rapid.Bool().Draw(rt, "where") {
				q.Where = sqlgen.NewCondition(func(q *bun.SelectQuery) *bun.SelectQuery {
					return q.Where("?TableAlias.size < ?", 3).WhereOr("size > ?", 7)
				})
				also(func(i item) bool { return i.Size < 3 || i.Size > 7 })
			}
			if rapid.Bool().Draw(rt, "limit") {
				q.Limit = rapid.IntRange(1, 5).Draw(rt, "n")
				q.Order = []driver.Order{{Column: "size", Desc: true}, {Column: "id"}}
			}
			var expected []int64
			for _, i := range items {
				if want(i) {
					expected = append(expected, i.ID)
				}
			}
			if q.Limit > 0 {
				slices.SortFunc(expected, func(a, b int64) int {
					if a/2 != b/2 {
						return int(b/2 - a/2)
					}
					return int(a - b)
				})
				expected = expected[:min(q.Limit, len(expected))]
			}
			rows, err := l.Query(t.Context(), q)
			if err != nil {
				rt.Fatal(err)
			}
			var got []int64
			for _, r := range rows {
				got = append(got, r.ID)
			}
			if q.Limit == 0 {
				slices.Sort(got)
			}
			if !slices.Equal(got, expected) {
				rt.Errorf("%+v: rows %v, want %v", q, got, expected)
			}
		})
	})
}

// The statements themselves, for databases that are not at hand, and to see
// that the common ones stay simple.
func TestStatementText(t *testing.T) {
	type track struct {
		bun.BaseModel `bun:"table:Tracks,alias:t"`
		ID            int64      `bun:",pk"`
		Name          *string    `bun:"Name"`
		At            *time.Time `bun:"at"`
	}
	type pair struct {
		bun.BaseModel `bun:"table:pairs,alias:p"`
		A             int64  `bun:",pk"`
		B             string `bun:",pk"`
	}
	text := func(t *testing.T, m *model.Model, q driver.Query, dest any) string {
		t.Helper()
		statements, err := sqlgen.Statements(m, q)
		if err != nil {
			t.Fatal(err)
		}
		sel := statements[0].Build(m, m.DB.DB, dest)
		_, where, _ := strings.Cut(sel.String(), " FROM ")
		return where
	}
	// To the nanosecond: julianday, which reads fewer forms, ends at the millisecond.
	second, fraction := strings.ReplaceAll(sqlgen.SQLiteSecond, sqlgen.ColumnMark, `"t"."at"`), strings.ReplaceAll(sqlgen.SQLiteFraction, sqlgen.ColumnMark, `"t"."at"`)
	for _, c := range []struct {
		name string
		db   *bun.DB
		// the expected ends of the statements, after FROM
		all, one, some, pairs, first, order string
	}{
		{
			"sqlite", buntest.Offline(t, sqlitedialect.New()),
			`"Tracks" AS "t"`,
			`"Tracks" AS "t" WHERE ("t"."id" = 1)`,
			`"Tracks" AS "t" WHERE ("t"."id" IN (1, 2))`,
			`"pairs" AS "p" WHERE (("p"."a", "p"."b") IN (VALUES (1,'it''s'), (2,'\')))`,
			`"Tracks" AS "t" ORDER BY "t"."id" DESC LIMIT 3`,
			`"Tracks" AS "t" ORDER BY "t"."Name" COLLATE BINARY ASC, ` + second + ` DESC NULLS FIRST, ` + fraction + ` DESC NULLS FIRST, "t"."at" DESC NULLS FIRST, "t"."id" ASC LIMIT 3`,
		},
		{
			"postgres", buntest.Offline(t, pgdialect.New()),
			`"Tracks" AS "t"`,
			`"Tracks" AS "t" WHERE ("t"."id" = ANY($1))`,
			`"Tracks" AS "t" WHERE ("t"."id" = ANY($1))`,
			`"pairs" AS "p" WHERE (("p"."a", "p"."b") IN (SELECT * FROM unnest($1::bigint[], $2::bpchar[])))`,
			`"Tracks" AS "t" ORDER BY "t"."id" DESC LIMIT 3`,
			`"Tracks" AS "t" ORDER BY ("t"."Name")::text COLLATE "C" ASC NULLS FIRST, "t"."at" DESC, "t"."id" ASC LIMIT 3`,
		},
		{
			"mysql", buntest.Offline(t, mysqldialect.New()),
			"`Tracks` AS `t`",
			"`Tracks` AS `t` WHERE (`t`.`id` = 1)",
			"`Tracks` AS `t` WHERE (`t`.`id` IN (1, 2))",
			"`pairs` AS `p` WHERE ((`p`.`a`, `p`.`b`) IN ((1,'it''s'), (2,'\\\\')))",
			"`Tracks` AS `t` ORDER BY `t`.`id` DESC LIMIT 3",
			"`Tracks` AS `t` ORDER BY CAST(CONVERT(`t`.`Name` USING utf8mb4) AS BINARY) ASC, CASE WHEN `t`.`at` IS NULL THEN 0 ELSE 1 END, `t`.`at` DESC, `t`.`id` ASC LIMIT 3",
		},
		{
			"without row values", buntest.Offline(t, sqlitedialect.New(sqlitedialect.WithoutFeature(feature.CompositeIn))),
			`"Tracks" AS "t"`,
			`"Tracks" AS "t" WHERE ("t"."id" = 1)`,
			`"Tracks" AS "t" WHERE ("t"."id" IN (1, 2))`,
			`"pairs" AS "p" WHERE (("p"."a" = 1 AND "p"."b" = 'it''s') OR ("p"."a" = 2 AND "p"."b" = '\'))`,
			`"Tracks" AS "t" ORDER BY "t"."id" DESC LIMIT 3`,
			`"Tracks" AS "t" ORDER BY "t"."Name" COLLATE BINARY ASC, ` + second + ` DESC NULLS FIRST, ` + fraction + ` DESC NULLS FIRST, "t"."at" DESC NULLS FIRST, "t"."id" ASC LIMIT 3`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			known := func(name, sqlType string, notNull bool) model.TableColumn {
				return model.TableColumn{Name: name, State: model.State{Facts: exact.Facts{SQLType: sqlType, Deterministic: true, Known: true}, NotNull: notNull}}
			}
			tracks, err := NewLoader[track](c.db).model()
			if err == nil {
				tracks, err = tracks.Refine([]model.TableColumn{known("id", "bigint", true), known("Name", "text", false), known("at", "timestamp with time zone", false)})
			}
			if err != nil {
				t.Fatal(err)
			}
			pairs, err := NewLoader[pair](c.db).model()
			if err == nil {
				pairs, err = pairs.Refine([]model.TableColumn{known("a", "bigint", true), known("b", "character(3)", true)})
			}
			if err != nil {
				t.Fatal(err)
			}
			order := []driver.Order{{Column: "Name"}, {Column: "at", Desc: true, Nulls: driver.NullsFirst}, {Column: "id"}}
			for name, s := range map[string][2]string{
				"all":   {text(t, tracks, driver.Query{}, &[]track{}), c.all},
				"one":   {text(t, tracks, driver.Query{Keys: []driver.Key{driver.KeyOf(1)}}, &[]track{}), c.one},
				"some":  {text(t, tracks, driver.Query{Keys: []driver.Key{driver.KeyOf(2), driver.KeyOf(1), driver.KeyOf(2)}}, &[]track{}), c.some},
				"pairs": {text(t, pairs, driver.Query{Keys: []driver.Key{driver.KeyOf(1, "it's"), driver.KeyOf(2, `\`)}}, &[]pair{}), c.pairs},
				"first": {text(t, tracks, driver.Query{Limit: 3, Order: []driver.Order{{Column: "id", Desc: true}}}, &[]track{}), c.first},
				"order": {text(t, tracks, driver.Query{Limit: 3, Order: order}, &[]track{}), c.order},
			} {
				if s[0] != s[1] {
					t.Errorf("%s:\n%s\nwant:\n%s", name, s[0], s[1])
				}
			}
		})
	}
}

// Postgres gets one statement per binding, whatever the keys: drivers keep
// every statement that they prepare.
func TestPostgresStatementsDoNotDependOnKeys(t *testing.T) {
	db := loaderPostgres(t)
	createTable[compositeKeyed](t, db)
	l := preparedLoader[compositeKeyed](t, db)
	m, err := l.model()
	if err != nil {
		t.Fatal(err)
	}
	texts := make(map[string]bool)
	for n := 1; n < 4; n++ {
		var keys []driver.Key
		for i := range n {
			keys = append(keys, driver.KeyOf(i, fmt.Sprintf(`{"%d\`, i), time.Unix(int64(i), 0)))
		}
		statements, err := sqlgen.Statements(m, driver.Query{Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		texts[statements[0].Build(m, db.DB, &[]compositeKeyed{}).String()] = true
	}
	if len(texts) != 1 {
		t.Errorf("statements: %v", texts)
	}
}

// Lookups by key use the index, also of composite keys.
func TestKeyLookupsUseTheIndex(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		createTable[compositeKeyed](t, db)
		createTable[intKeyed](t, db)
		analyze := func(q *bun.SelectQuery, args []any) string {
			t.Helper()
			explain := "EXPLAIN QUERY PLAN "
			if db.Dialect().Name() == dialect.PG {
				explain = "EXPLAIN (COSTS OFF) "
			}
			rows, err := db.DB.QueryContext(t.Context(), explain+q.String(), args...)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			cols, _ := rows.Columns()
			var plan []string
			for rows.Next() {
				vals := make([]any, len(cols))
				for i := range vals {
					vals[i] = new(any)
				}
				if err := rows.Scan(vals...); err != nil {
					t.Fatal(err)
				}
				plan = append(plan, fmt.Sprint(*vals[len(vals)-1].(*any)))
			}
			return strings.Join(plan, "\n")
		}
		mustExec(t, db, `INSERT INTO "Int Keyed" WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM s WHERE n < 20000) SELECT n FROM s`)
		mustExec(t, db, `INSERT INTO "PlaylistTrack" WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM s WHERE n < 20000) SELECT n, 't', '2024-01-01 00:00:00+00:00' FROM s`)
		mustExec(t, db, "ANALYZE")
		check := func(m *model.Model, dest any, keys ...driver.Key) {
			t.Helper()
			statements, err := sqlgen.Statements(m, driver.Query{Keys: keys})
			if err != nil {
				t.Fatal(err)
			}
			plan := analyze(statements[0].Build(m, db.DB, dest), statements[0].Keys.Args)
			if strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "SCAN "+m.Table.Alias) {
				t.Errorf("the table is scanned:\n%s", plan)
			}
		}
		ints, err := preparedLoader[intKeyed](t, db).model()
		if err != nil {
			t.Fatal(err)
		}
		composites, err := preparedLoader[compositeKeyed](t, db).model()
		if err != nil {
			t.Fatal(err)
		}
		day := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
		check(ints, &[]intKeyed{}, driver.KeyOf(5))
		check(ints, &[]intKeyed{}, driver.KeyOf(5), driver.KeyOf(6))
		check(composites, &[]compositeKeyed{}, driver.KeyOf(5, "t", day), driver.KeyOf(6, "t", day))
	})
}
