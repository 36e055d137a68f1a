package bunsource

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/keyproof"
	"github.com/binderyhq/bindery/sources/bunsource/internal/readtables"
	"github.com/binderyhq/bindery/sources/internal/sqltext"
)

// Tables that a query reads and that nobody has declared are found, and those
// that it only seems to read are not.
func TestForgottenDependenciesAreFound(t *testing.T) {
	type check struct {
		query    string
		declared []any
		want     string
	}
	eachOpened(t, func(t *testing.T, db *bun.DB) {
		createShops(t, db)
		mustExec(t, db, `CREATE TABLE "Odd.Name" (id TEXT PRIMARY KEY, shop_id INT)`)
		mustExec(t, db, "CREATE INDEX sql_sales_shop ON sql_sales (shop_id)")
		mustExec(t, db, "CREATE VIEW sql_view AS SELECT s.id, l.amount FROM sql_shops s JOIN sql_sales l ON l.shop_id = s.id")
		checks := []check{
			{"SELECT * FROM sql_shops", []any{(*sqlShop)(nil)}, ""},
			{"SELECT * FROM sql_shops", []any{"SQL_Shops"}, map[bool]string{true: "", false: "!SQL_Shops"}[db.Dialect().Name() == dialect.SQLite]},
			{"SELECT * FROM sql_shops", []any{"sql_shop"}, "!sql_shop"},
			{"SELECT * FROM sql_view", bothTables, ""},
			{"SELECT * FROM sql_view", []any{"sql_view"}, "sql_sales sql_shops"},
			{"SELECT count(*) FROM sql_shops WHERE EXISTS (SELECT 1 FROM sql_sales WHERE shop_id = sql_shops.id)", []any{"sql_shops"}, "sql_sales"},
			{`WITH o AS (SELECT shop_id FROM "Odd.Name") SELECT s.* FROM sql_shops AS s JOIN o ON o.shop_id = s.id UNION SELECT id, '' FROM sql_sales`, []any{"sql_shops", driver.Table{Name: "Odd.Name"}}, "sql_sales"},
			{`SELECT x.id FROM "Odd.Name" AS x ORDER BY x.id LIMIT 3`, bothTables, "Odd.Name"},
			{"SELECT 1 AS n", bothTables, ""},
		}
		if db.Dialect().Name() == dialect.PG {
			mustExec(t, db, "CREATE SCHEMA other")
			mustExec(t, db, "CREATE TABLE other.parts (id INT, n INT) PARTITION BY RANGE (id)")
			mustExec(t, db, "CREATE TABLE other.low PARTITION OF other.parts FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (id)")
			mustExec(t, db, "CREATE TABLE other.lowest PARTITION OF other.low FOR VALUES FROM (0) TO (5)")
			mustExec(t, db, "CREATE TABLE other.child () INHERITS (sql_shops)")
			checks = append(checks,
				check{"SELECT * FROM other.parts", []any{"other.parts"}, ""},
				check{"SELECT * FROM other.parts", []any{"other.lowest"}, ""},
				check{"SELECT * FROM other.lowest", []any{"sql_shops"}, "other.parts"},
				check{"SELECT * FROM sql_shops", []any{"sql_shops"}, "other.child"},
				check{"SELECT relname FROM pg_class", []any{"sql_shops"}, ""},
			)
			for i := range checks[:5] {
				checks[i].query = strings.ReplaceAll(checks[i].query, "FROM sql_shops", "FROM ONLY sql_shops")
			}
			mustExec(t, db, "DROP VIEW sql_view")
			mustExec(t, db, "CREATE VIEW sql_view AS SELECT s.id, l.amount FROM ONLY sql_shops s JOIN sql_sales l ON l.shop_id = s.id")
		} else {
			mustExec(t, db, "CREATE TABLE sql_plain (id TEXT PRIMARY KEY) WITHOUT ROWID")
			checks = append(checks, check{"SELECT * FROM sql_plain", []any{"main.sql_shops"}, "sql_plain"})
		}
		for _, c := range checks {
			loader := newSQLLoader[cityTotal](db, "q", SQL{Text: c.query, DependsOn: c.declared})
			s, err := loader.Schema()
			if err != nil {
				t.Fatal(err)
			}
			m, err := loader.describe()
			if err != nil {
				t.Fatal(err)
			}
			text, err := loader.text()
			if err != nil {
				t.Fatal(err)
			}
			var missing []driver.Table
			err = withConn(withoutHooks(t.Context()), m, true, func(ctx context.Context, conn bun.IConn) (err error) {
				missing, err = readtables.Undeclared(ctx, conn, m, text, s.Depends)
				return err
			})
			var names []string
			for _, m := range missing {
				if m.Schema == "public" {
					m.Schema = ""
				}
				if db.Dialect().Name() == dialect.PG && m.String() == "other.child" && c.want != "other.child" {
					continue // wherever the table is read that it inherits from
				}
				names = append(names, m.String())
			}
			got := strings.Join(names, " ")
			if table, wantErr := strings.CutPrefix(c.want, "!"); wantErr {
				if err == nil || !strings.Contains(err.Error(), table) || !strings.Contains(err.Error(), "does not exist") {
					t.Errorf("%s depending on %v: %v", c.query, c.declared, err)
				}
			} else if err != nil || got != c.want {
				t.Errorf("%s depending on %v: missing %q (%v), want %q", c.query, c.declared, got, err, c.want)
			}
		}
	})
}

// The registry says so in its log, when it starts.
func TestForgottenDependenciesAreLogged(t *testing.T) {
	eachOpened(t, func(t *testing.T, db *bun.DB) {
		createShops(t, db)
		var log bytes.Buffer
		reg := core.Config{Logger: slog.New(slog.NewTextHandler(&log, nil)), LoadWait: 30 * time.Second}.NewRegistry()
		_ = reg.Add(BindSQL[cityTotal](db, "cities", SQL{Text: cityTotals, Args: []any{9}, DependsOn: []any{"sql_shops"}}))
		_ = reg.Watch(Hooks(db))
		if err := reg.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := reg.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		wantText(t, log.String(), "binding=cities", "sql_sales", "does not depend on")
	})
}

// A table that is only depended on has no key that a statement could prove: it is
// reported as a whole, so that the report still means the right rows if the table
// is bound meanwhile.
func TestWritesToDependenciesAreReportedWhole(t *testing.T) {
	schemas := []*driver.Schema{{Table: driver.Table{Name: "sql_sales"}}}
	for _, statement := range []string{
		"INSERT INTO sql_sales (id, shop_id, amount) VALUES (1, 2, 3)",
		"INSERT INTO sql_sales (id, shop_id, amount) VALUES (1, 2, 3) RETURNING *",
		"UPDATE sql_sales SET amount = 3 WHERE id = 1",
		"DELETE FROM sql_sales WHERE id IN (1, 2)",
	} {
		p := sqltext.Parse(statement, sqltext.SQLite)
		e := keyproof.Of(p, func(sqltext.Table) []*driver.Schema { return schemas }, nil)
		if got := e.Changes(); len(got) != 1 || got[0].Table.Name != "sql_sales" || got[0].Keys != nil || e.TakesRows() {
			t.Errorf("%s: %v", statement, got)
		}
	}
}

// Writers do not wait for queries: here one that does not end before the writers
// have.
func TestWritersDoNotWaitForQueries(t *testing.T) {
	eachOpened(t, func(t *testing.T, db *bun.DB) {
		createShops(t, db)
		var gate atomic.Pointer[chan struct{}]
		slow := BindSQL[cityTotal](db, "slow", SQL{
			Query: func(db bun.IDB) *bun.SelectQuery {
				if g := gate.Load(); g != nil {
					<-*g
				}
				return db.NewSelect().Model((*sqlShop)(nil)).Column("s.city").
					ColumnExpr("count(l.id) AS sales").ColumnExpr("coalesce(sum(l.amount), 0) AS amount").
					Join("LEFT JOIN sql_sales AS l ON l.shop_id = s.id").Group("s.city")
			},
			Key: []string{"city"}, DependsOn: bothTables,
		})
		sales := Bind[sqlSale](db, "sales")
		reg := quietRegistry()
		_ = reg.Add(slow, sales)
		source := Hooks(db)
		_ = reg.Watch(source)
		startRegistry(t, reg)
		waitLoaded(t, slow, sales)
		open := make(chan struct{})
		gate.Store(&open)
		before := sales.Len()
		for i := range 5 {
			if _, err := db.NewInsert().Model(&sqlSale{ID: int64(100 + i), ShopID: 2, Amount: 20}).Exec(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := sales.Len(); n != before+i+1 {
				t.Errorf("after insert %d there are %d sales, want %d", i, n, before+i+1)
			}
		}
		if n := source.Timeouts(); n > 0 {
			t.Errorf("%d writers waited in vain", n)
		}
		close(open)
		if err := reg.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := totalsOf(slow); !strings.Contains(got, "Oslo 5 100") {
			t.Errorf("the query shows %s", got)
		}
	})
}
