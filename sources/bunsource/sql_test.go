package bunsource

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/mysqldialect"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/sources/bunsource/internal/readtables"
)

// A query is bound however it is written, and follows what is written to its
// tables, by whichever way; also where the pool has one connection only.
func TestQueriesAreBound(t *testing.T) {
	eachOpened(t, func(t *testing.T, db *bun.DB) {
		for _, conns := range []int{1, 4} {
			t.Run(fmt.Sprintf("connections=%d", conns), func(t *testing.T) {
				db.SetMaxOpenConns(conns)
				createShops(t, db)
				raw := BindSQL[cityTotal](db, "raw", SQL{Text: cityTotals, Args: []any{100}, DependsOn: bothTables}, core.Tune(core.Tuning{WritesWait: true}))
				built := BindSQL[cityTotal](db, "built", SQL{
					Query: func(db bun.IDB) *bun.SelectQuery {
						return db.NewSelect().Model((*sqlShop)(nil)).Column("s.city").
							ColumnExpr("count(l.id) AS sales").ColumnExpr("coalesce(sum(l.amount), 0) AS amount").
							Join("LEFT JOIN sql_sales AS l ON l.shop_id = s.id").Group("s.city")
					},
					Key: []string{"city"}, DependsOn: bothTables,
				}, core.OrderBy("-amount"), core.Tune(core.Tuning{WritesWait: true}))
				best := BindSQL[cityTotal](db, "best", SQL{
					Text: `WITH totals AS (SELECT shop_id, count(*) AS sales, sum(amount) AS amount FROM sql_sales GROUP BY shop_id),
						ranked AS (SELECT s.city, t.sales, t.amount, row_number() OVER (PARTITION BY s.city ORDER BY t.amount DESC, s.id) AS place
							FROM sql_shops AS s JOIN totals AS t ON t.shop_id = s.id)
						SELECT city, sales, amount FROM ranked WHERE place = 1 -- the best shop of each city`,
					DependsOn: bothTables,
				}, core.Where(filter.Ge("amount", 6)), core.Limit(1), core.Tune(core.Tuning{WritesWait: true}))
				reg := quietRegistry()
				_ = reg.Add(raw, built, best)
				_ = reg.Watch(Hooks(db))
				startRegistry(t, reg)
				waitLoaded(t, raw, built, best)
				expect := func(after, wantRaw, wantBuilt, wantBest string) {
					t.Helper()
					if err := reg.Flush(t.Context()); err != nil { // writers wait for rows, not for queries
						t.Fatal(err)
					}
					got := fmt.Sprintf("%s | %s | %s", totalsOf(raw), totalsOf(built), totalsOf(best))
					if want := fmt.Sprintf("%s | %s | %s", wantRaw, wantBuilt, wantBest); got != want {
						t.Errorf("after %s: %s, want %s", after, got, want)
					}
				}
				expect("the first load", "Oslo 0 0, Rome 2 12", "Rome 2 12, Oslo 0 0", "Rome 1 7")
				ctx := t.Context()
				if _, err := db.NewInsert().Model(&sqlSale{ID: 3, ShopID: 2, Amount: 20}).Exec(ctx); err != nil {
					t.Fatal(err)
				}
				expect("an insert", "Oslo 1 20, Rome 2 12", "Oslo 1 20, Rome 2 12", "Oslo 1 20")
				err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
					if _, err := tx.NewUpdate().Model((*sqlShop)(nil)).Set("city = ?", "Pisa").Where("id = 3").Exec(ctx); err != nil {
						return err
					}
					_, err := tx.NewDelete().Model((*sqlSale)(nil)).Where("id = 3").Exec(ctx)
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				expect("a transaction", "Oslo 0 0, Pisa 1 7, Rome 1 5", "Pisa 1 7, Rome 1 5, Oslo 0 0", "Pisa 1 7")
				mustExec(t, db, "DELETE FROM sql_shops WHERE id = 3")
				expect("a delete", "Oslo 0 0, Rome 1 5", "Rome 1 5, Oslo 0 0", "")
			})
		}
	})
}

// A view is bound as a model once it is said what it reads.
func TestViewsAreBound(t *testing.T) {
	type cityView struct {
		bun.BaseModel `bun:"table:sql_cities"`
		City          string `bun:",pk"`
		Shops         int64
	}
	eachOpened(t, func(t *testing.T, db *bun.DB) {
		createShops(t, db)
		mustExec(t, db, "CREATE VIEW sql_cities AS SELECT city, count(*) AS shops FROM sql_shops GROUP BY city")
		depends := core.DependsOn(TableOf[sqlShop](db))
		all := Bind[cityView](db, "all", depends)
		many := Bind[cityView](db, "many", depends, core.Where(filter.Gt("shops", 1)))
		first := Bind[cityView](db, "first", depends, core.OrderBy("-shops"), core.Limit(1))
		reg := quietRegistry()
		_ = reg.Add(all, many, first)
		_ = reg.Watch(Hooks(db))
		startRegistry(t, reg)
		waitLoaded(t, all, many, first)
		expect := func(want string) {
			t.Helper()
			if err := reg.Flush(t.Context()); err != nil { // writers wait for rows, not for queries
				t.Fatal(err)
			}
			var got []string
			for _, b := range []*core.Binding[cityView]{all, many, first} {
				for r := range b.All() {
					got = append(got, fmt.Sprintf("%s %s %d", b.Name(), r.City, r.Shops))
				}
			}
			if got := strings.Join(got, ", "); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
		expect("all Oslo 1, all Rome 2, many Rome 2, first Rome 2")
		if _, err := db.NewInsert().Model(&[]sqlShop{{ID: 8, City: "Oslo"}, {ID: 9, City: "Oslo"}}).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect("all Oslo 3, all Rome 2, many Oslo 3, many Rome 2, first Oslo 3")
	})
}

// sqlProblems starts a registry with the bindings and returns what it says.
func sqlProblems(t *testing.T, bindings ...core.Bindable) string {
	t.Helper()
	reg := quietRegistry()
	_ = reg.Add(bindings...)
	err := reg.Start(t.Context())
	if err == nil {
		t.Error("no problem found")
		_ = reg.Shutdown(t.Context())
		return ""
	}
	return err.Error()
}

func wantText(t *testing.T, got string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(got, p) {
			t.Errorf("it does not say %q:\n%s", p, got)
		}
	}
}

func TestQueriesAreCheckedBeforeTheyRun(t *testing.T) {
	db := loaderSQLite(t)
	type keyless struct{ N int64 }
	query := func(bun.IDB) *bun.SelectQuery { return nil }
	wantText(t, sqlProblems(t,
		BindSQL[cityTotal](db, "empty", SQL{Text: " ", DependsOn: bothTables}),
		BindSQL[cityTotal](db, "both", SQL{Text: "SELECT 1", Query: query, DependsOn: bothTables}),
		BindSQL[cityTotal](db, "careless", SQL{Text: "SELECT 1"}),
		BindSQL[cityTotal](db, "odd", SQL{Text: "SELECT 1", DependsOn: []any{nil, 7, "", driver.Table{Schema: "s"}}}),
		BindSQL[keyless](db, "keyless", SQL{Text: "SELECT 1", DependsOn: bothTables}),
		BindSQL[cityTotal](db, "mistaken", SQL{Text: "SELECT 1", DependsOn: bothTables, Key: []string{"town"}}),
		BindSQL[int](db, "scalar", SQL{Text: "SELECT 1", DependsOn: bothTables}),
		BindSQL[cityTotal](nil, "nowhere", SQL{Text: "SELECT 1", DependsOn: bothTables}),
		BindSQL[cityTotal](db, "writable", SQL{Text: "SELECT 1", DependsOn: bothTables}, core.Writable()),
		BindSQL[cityTotal](db, "condition", SQL{Text: "SELECT 1", DependsOn: bothTables}, Where(func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("1 = 1") })),
		Bind[sqlShop](db, "model", core.DependsOn(TableOf[int](db))),
	),
		`declaring query "empty": it has no query`,
		`declaring query "both": it has two queries`,
		`declaring query "careless": it depends on nothing`,
		`declaring query "odd": it depends on nil`, "of type int", "a table without a name",
		`declaring query "keyless": nothing tells its rows apart`,
		`declaring query "mistaken": its key column "town"`,
		`declaring query "scalar": its rows need a struct, not a int`,
		`declaring query "nowhere": the *bun.DB is nil`,
		`binding "writable"`, "does not write",
		`binding "condition"`, "driver.Querier",
		`binding "model"`, "a table without a name",
	)
}

// What only the database can tell is an error of the read, which is tried again.
func TestQueriesThatCannotBeBound(t *testing.T) {
	eachOpened(t, func(t *testing.T, db *bun.DB) {
		createShops(t, db)
		type row struct {
			City *string `bun:",pk"`
			N    int64
		}
		bind := func(name, text string) *core.Binding[row] {
			return BindSQL[row](db, name, SQL{Text: text, DependsOn: bothTables})
		}
		type failing struct {
			*core.Binding[row]
			why []string
		}
		nothing := BindSQL[row](db, "nothing", SQL{Query: func(bun.IDB) *bun.SelectQuery { return nil }, DependsOn: bothTables})
		all := []failing{
			{bind("twice", "SELECT city, id AS n FROM sql_shops"), []string{`binding "twice"`, "two rows of one key", "city"}},
			{bind("null", "SELECT NULL AS city, 1 AS n"), []string{`query null`, "NULL in key column", "city"}},
			{bind("without", "SELECT city AS town FROM sql_shops"), []string{`binding "without"`, `it gives no column "city"`, "town"}},
			{bind("unknown", "SELECT city FROM sql_nothing"), []string{`binding "unknown"`, "sql_nothing"}},
			{bind("writing", "DELETE FROM sql_shops RETURNING city"), []string{`binding "writing"`}},
			{nothing, []string{`binding "nothing"`, "returned nil"}},
		}
		reg := quietRegistry()
		for _, f := range all {
			_ = reg.Add(f)
		}
		_ = reg.Watch(Hooks(db))
		startRegistry(t, reg)
		for _, f := range all {
			deadline := time.Now().Add(60 * time.Second)
			for f.Status().Err == nil {
				if time.Now().After(deadline) {
					t.Fatalf("binding %q does not fail", f.Name())
				}
				time.Sleep(time.Millisecond)
			}
			wantText(t, f.Status().Err.Error(), f.why...)
		}
		if n, err := db.NewSelect().Model((*sqlShop)(nil)).Count(t.Context()); err != nil || n != 3 {
			t.Errorf("%d shops left (%v)", n, err)
		}
		// It heals as soon as the rows have keys of their own.
		mustExec(t, db, "DELETE FROM sql_shops WHERE id = 3")
		waitLoaded(t, all[0])
	})
}

// A query can be a family: one run of it serves all members.
func TestQueriesAreFamilies(t *testing.T) {
	eachOpened(t, func(t *testing.T, db *bun.DB) {
		createShops(t, db)
		var runs atomic.Int64
		byCity := BindSQLFamily[cityTotal](db, "city", SQL{
			Query: func(db bun.IDB) *bun.SelectQuery {
				runs.Add(1)
				return db.NewSelect().TableExpr("sql_shops AS s").Column("s.city").
					ColumnExpr("count(l.id) AS sales").ColumnExpr("coalesce(sum(l.amount), 0) AS amount").
					Join("LEFT JOIN sql_sales AS l ON l.shop_id = s.id").Group("s.city")
			},
			DependsOn: bothTables,
		}, core.Where(filter.Eq("city", filter.Param("city"))), core.Tune(core.Tuning{WritesWait: true}))
		reg := quietRegistry()
		_ = reg.Add(byCity)
		_ = reg.Watch(Hooks(db))
		startRegistry(t, reg)
		var members []*core.Member[cityTotal]
		for _, city := range []string{"Oslo", "Rome", "Bonn"} {
			m, err := byCity.Open(t.Context(), core.Args{"city": city})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			members = append(members, m)
		}
		expect := func(want ...string) {
			t.Helper()
			for i, m := range members {
				if got := totalsOf(m.Binding); got != want[i] {
					t.Errorf("member %q shows %s, want %s", m.ID(), got, want[i])
				}
			}
		}
		expect("Oslo 0 0", "Rome 2 12", "")
		before := runs.Load()
		if _, err := db.NewUpdate().Model((*sqlShop)(nil)).Set("city = ?", "Bonn").Where("id = 3").Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect("Oslo 0 0", "Rome 1 5", "Bonn 1 7")
		if n := runs.Load() - before; n != 1 {
			t.Errorf("the query was run %d times for one change", n)
		}
	})
}

// Loaders answer for single keys, and in a snapshot, as any loader does.
func TestSQLLoaderIsALoader(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		createShops(t, db)
		l := newSQLLoader[cityTotal](db, "cities", SQL{Text: cityTotals, Args: []any{9}, DependsOn: bothTables})
		snap, release, err := openedIn(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		mustExec(t, db, "DELETE FROM sql_sales")
		for _, c := range []struct {
			ctx  context.Context
			keys []driver.Key
			want []cityTotal
		}{
			{snap, []driver.Key{driver.KeyOf("Rome"), driver.KeyOf("Bonn")}, []cityTotal{{"Rome", 2, 12}}},
			{snap, nil, []cityTotal{{"Rome", 2, 12}, {"Oslo", 0, 0}}},
			{t.Context(), nil, []cityTotal{{"Rome", 0, 0}, {"Oslo", 0, 0}}},
		} {
			rows, err := l.Load(c.ctx, c.keys)
			if err != nil {
				t.Fatal(err)
			}
			var got []cityTotal
			for _, r := range rows {
				got = append(got, *r)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("keys %q: %v, want %v", c.keys, got, c.want)
			}
		}
	})
}

// The schema follows from the Go type: kinds, JSON names, key, dependencies.
func TestSQLSchema(t *testing.T) {
	type row struct {
		Total int64     `bun:"total,scanonly" json:"sum"`
		Day   time.Time `bun:"day"`
		Note  *string   `bun:"note" json:"-"`
	}
	db := loaderSQLite(t)
	s, err := newSQLLoader[row](db, "days", SQL{
		Text: "SELECT 1", Key: []string{"day"},
		DependsOn: []any{sqlShop{}, "other.sales", driver.Table{Name: "a.b"}},
	}).Schema()
	if err != nil {
		t.Fatal(err)
	}
	var columns []string
	for _, c := range s.Columns {
		columns = append(columns, fmt.Sprint(c.Name, " ", c.JSON, " ", c.Kind))
	}
	if want := []string{"total sum int", "day Day time", "note  text"}; !slices.Equal(columns, want) {
		t.Errorf("columns %q, want %q", columns, want)
	}
	if want := []driver.Table{{Name: "sql_shops"}, {Schema: "other", Name: "sales"}, {Name: "a.b"}}; !reflect.DeepEqual(s.Depends, want) {
		t.Errorf("depends on %v, want %v", s.Depends, want)
	}
	if s.Table != (driver.Table{Name: "query days"}) || !slices.Equal(s.Key, []string{"day"}) {
		t.Errorf("table %v, key %v", s.Table, s.Key)
	}
}

// MySQL has no server here: what it would answer is taken from its manual and
// from sessions with it.
func TestTablesInMySQLNote(t *testing.T) {
	for note, want := range map[string]string{
		"/* select#1 */ select `shop`.`t`.`id` AS `id` from `shop`.`t`":                                                                                          "shop.t",
		"/* select#1 */ select `p`.`id` AS `id`,count(`s`.`id`) AS `n` from `shop`.`products` `p` left join `shop`.`sales` `s` on((`s`.`p` = `p`.`id`)) where 1": "shop.products shop.sales",
		"select 1 from ((`a`.`x` join `a`.`y`) straight_join `b`.`odd``name`) where (`x`.`t` = ' from `c`.`d` it''s \\' from `c`.`e` ')":                         "a.x a.y b.odd`name",
		"with `c` as (/* select#2 */ select `a`.`x`.`i` AS `i` from `a`.`x`) select `c`.`i` AS `i` from `c`":                                                     "a.x",
		"":                   "",
		"select `unfinished": "",
	} {
		var got []string
		for _, table := range readtables.TablesInNote(note) {
			got = append(got, table.String())
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%s: %q, want %q", note, got, want)
		}
	}
	db := bun.NewDB(loaderSQLite(t).DB, mysqldialect.New())
	if got := readtables.Quoted(db, driver.Table{Schema: "s", Name: "od`d"}); got != "`s`.`od``d`" {
		t.Errorf("quoted name %s", got)
	}
}
