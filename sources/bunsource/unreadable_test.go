package bunsource

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/schema"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	corestatus "github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

// reading is a row of a table that tenants share.
type reading struct {
	bun.BaseModel `bun:"table:readings"`

	ID     int64     `bun:"id,pk" json:"id"`
	Tenant string    `bun:"tenant,notnull" json:"tenant"`
	Value  float64   `bun:"value" json:"value"`
	Count  int64     `bun:"count,notnull" json:"count"`
	At     time.Time `bun:"at" json:"at"`
}

func createReadings(t *testing.T, db *bun.DB) {
	t.Helper()
	if db.Dialect().Name() == dialect.PG {
		mustExec(t, db, `CREATE TABLE readings (id bigint PRIMARY KEY, tenant text COLLATE "C" NOT NULL, value float8, count bigint NOT NULL, at timestamptz)`)
	} else {
		mustExec(t, db, `CREATE TABLE readings (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, value REAL, count INTEGER NOT NULL, at TIMESTAMP)`)
	}
}

// unshowable are rows of tenant b that Go cannot scan, or JSON cannot show.
func unshowable(name dialect.Name) map[string]string {
	if name == dialect.PG {
		return map[string]string{
			"NaN":            `INSERT INTO readings VALUES (?, 'b', 'NaN', 1, '2026-01-01')`,
			"infinite":       `INSERT INTO readings VALUES (?, 'b', 'Infinity', 1, '2026-01-01')`,
			"infinite time":  `INSERT INTO readings VALUES (?, 'b', 1, 1, 'infinity')`,
			"year 10001":     `INSERT INTO readings VALUES (?, 'b', 1, 1, '10001-01-01')`,
			"before the era": `INSERT INTO readings VALUES (?, 'b', 1, 1, '-infinity')`,
		}
	}
	return map[string]string{
		"text in an integer column": `INSERT INTO readings VALUES (?, 'b', 1, 'many', '2026-01-01 00:00:00')`,
		"infinite":                  `INSERT INTO readings VALUES (?, 'b', 9e999, 1, '2026-01-01 00:00:00')`,
		"year 10001":                `INSERT INTO readings VALUES (?, 'b', 1, 1, '10001-01-01 00:00:00')`,
		"no time":                   `INSERT INTO readings VALUES (?, 'b', 1, 1, 'tomorrow')`,
	}
}

// TestRowsThatGoCannotShow: in a table that tenants share, a bad row of one
// tenant concerns the bindings that show it. All others load, go on, and their
// writers do not wait.
func TestRowsThatGoCannotShow(t *testing.T) {
	for _, c := range []struct {
		name   string
		driver string
		dsn    func() string
		say    func() schema.Dialect
	}{
		{"sqlite", "sqlite", func() string {
			return "file:" + filepath.Join(t.TempDir(), "test.db") + "?_pragma=busy_timeout(60000)&" + walMode
		}, func() schema.Dialect { return sqlitedialect.New() }},
		{"postgres", "pgx", func() string { return pgtest.Shared(t).CreateDatabase(t) }, func() schema.Dialect { return pgdialect.New() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dsn := c.dsn()
			db, err := Open(c.driver, dsn, c.say())
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			sqldb, err := sql.Open(c.driver, dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer sqldb.Close()
			plain := bun.NewDB(sqldb, c.say())
			createReadings(t, plain)
			for name, insert := range unshowable(db.Dialect().Name()) {
				for _, early := range []bool{true, false} {
					t.Run(fmt.Sprintf("%s/at Start %v", name, early), func(t *testing.T) {
						mustExec(t, plain, "DELETE FROM readings")
						tryUnshowable(t, db, plain, insert, early)
					})
				}
			}
		})
	}
}

func tryUnshowable(t *testing.T, db, plain *bun.DB, insert string, early bool) {
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	put := func(id int64, tenant string) {
		t.Helper()
		if _, err := db.NewInsert().Model(&reading{ID: id, Tenant: tenant, At: time.Unix(0, 0).UTC()}).Exec(ctx); err != nil {
			t.Fatal(err)
		}
	}
	put(1, "a")
	put(2, "b")
	if early {
		mustExec(t, plain, insert, 3)
	}
	reg := core.NewRegistry()
	all := Bind[reading](db, "all")
	rest := Bind[reading](db, "rest", core.Tune(core.Tuning{OmitUnreadable: true}))
	a := Bind[reading](db, "a", core.Where(filter.Eq("tenant", "a")))
	b := Bind[reading](db, "b", core.Where(filter.Eq("tenant", "b")))
	asked := Bind[reading](db, "asked", Where(func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("tenant = ?", "a") }))
	_ = reg.Add(all, rest, a, b, asked, BindSQL[reading](db, "total", SQL{
		Text: "SELECT max(id) AS id, tenant, 0 AS value, count(*) AS count FROM readings GROUP BY tenant",
		Key:  []string{"tenant"}, DependsOn: []any{(*reading)(nil)},
	}))
	source := Hooks(db)
	_ = reg.Watch(source)
	if err := reg.Start(ctx); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := reg.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	if !early {
		if _, err := db.ExecContext(ctx, insert, 3); err != nil {
			t.Fatal(err)
		}
	}
	put(4, "a")
	put(5, "b")
	ids := func(b *core.Binding[reading]) (out []int64) {
		for r := range b.All() {
			out = append(out, r.ID)
		}
		return out
	}
	check := func(b *core.Binding[reading], want ...int64) {
		t.Helper()
		// A write returns before bindings that only a query can answer show it.
		for !slices.Equal(ids(b), want) || b.Status().State != corestatus.Live {
			if ctx.Err() != nil {
				t.Fatalf("%s holds %v, want %v: %v, %v", b.Name(), ids(b), want, b.Status().State, b.Status().Err)
			}
			time.Sleep(time.Millisecond) // between two looks
		}
	}
	check(a, 1, 4)
	check(asked, 1, 4)
	check(rest, 1, 2, 4, 5)
	for _, v := range []*core.Binding[reading]{all, b} {
		st := v.Status()
		if st.State == corestatus.Live || st.Troubled != 1 || st.Trouble[0].Key != driver.KeyOf(3) || st.Err == nil || !strings.Contains(st.Err.Error(), "row 3") {
			t.Errorf("%s: %+v", v.Name(), st)
		}
	}
	if n := source.Timeouts(); n > 0 {
		t.Errorf("%d writes waited in vain", n)
	}
	if _, err := db.NewUpdate().Table("readings").Set("value = 2, count = 2, at = ?", time.Unix(0, 0).UTC()).Where("id = 3").Exec(ctx); err != nil {
		t.Fatal(err)
	}
	for _, v := range []*core.Binding[reading]{all, b, rest} {
		for v.Status().State != corestatus.Live || v.Status().Troubled > 0 || v.Len() < 3 {
			if ctx.Err() != nil {
				t.Fatalf("%s does not recover: %+v", v.Name(), v.Status())
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	check(all, 1, 2, 3, 4, 5)
	check(b, 2, 3, 5)
	check(rest, 1, 2, 3, 4, 5)
}

// TestLoaderNamesUnreadableRows: in every kind of read the rows that can be read
// are returned, and the others named.
func TestLoaderNamesUnreadableRows(t *testing.T) {
	db := loaderSQLite(t, walMode)
	createReadings(t, db)
	for i := 1; i <= 40; i++ {
		count := "1"
		if i%10 == 7 {
			count = "'many'"
		}
		mustExec(t, db, "INSERT INTO readings VALUES (?, ?, 1, "+count+", '2026-01-01 00:00:00')", i, []string{"a", "b"}[i%2])
	}
	l := NewLoader[reading](db)
	if _, err := l.Prepare(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	var keys []driver.Key
	for i := range 12 {
		keys = append(keys, driver.KeyOf(i))
	}
	for name, c := range map[string]struct {
		q    driver.Query
		rows int
		bad  string
	}{
		"everything": {driver.Query{}, 36, "7 17 27 37"},
		"keys":       {driver.Query{Keys: keys}, 10, "7"},
		"filter":     {driver.Query{Filter: filter.Eq("tenant", "b")}, 16, "7 17 27 37"},
		"the others": {driver.Query{Filter: filter.Eq("tenant", "a")}, 20, ""},
		"first":      {driver.Query{Order: []driver.Order{{Column: "tenant", Desc: true}, {Column: "id"}}, Limit: 6}, 5, "7"},
		"collation":  {driver.Query{Order: []driver.Order{{Column: "tenant", Collation: "NOCASE"}, {Column: "id", Desc: true}}}, 36, "7 17 27 37"},
	} {
		rows, err := l.Query(t.Context(), c.q)
		var bad []string
		for _, e := range driver.RowErrors(err) {
			bad = append(bad, e.Key.String())
		}
		slices.SortFunc(bad, func(a, b string) int { return len(a) - len(b) })
		if got := strings.Join(bad, " "); len(rows) != c.rows || len(bad) != len(strings.Fields(c.bad)) || err == nil != (c.bad == "") {
			t.Errorf("%s: %d rows, want %d; unreadable %q, want %q (%v)", name, len(rows), c.rows, got, c.bad, err)
		}
		if name == "collation" && (rows[0].ID != 40 || rows[35].ID != 1) {
			t.Errorf("in the wrong order: %d … %d", rows[0].ID, rows[35].ID)
		}
	}
	q := newSQLLoader[reading](db, "q", SQL{Text: "SELECT * FROM readings", Key: []string{"id"}, DependsOn: []any{(*reading)(nil)}})
	rows, err := q.Load(t.Context(), nil)
	if len(rows) != 36 || len(driver.RowErrors(err)) != 4 {
		t.Errorf("the query gives %d rows, %v", len(rows), err)
	}
	mustExec(t, db, "ALTER TABLE readings RENAME TO gone")
	if _, err := l.Load(t.Context(), nil); err == nil || driver.RowErrors(err) != nil {
		t.Errorf("without a table: %v", err)
	}
}
