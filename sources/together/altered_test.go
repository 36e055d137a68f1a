package together_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/pgsource"
	"github.com/binderyhq/bindery/sources/pollsource"
	"github.com/binderyhq/bindery/sources/sqlitesource"
)

// item is a row of a table that is altered all the time.
type item struct {
	bun.BaseModel `bun:"table:items"`
	ID            int64   `bun:"id,pk" json:"id"`
	Name          string  `bun:"name,notnull" json:"name"`
	N             int64   `bun:"n,notnull" json:"n"`
	Note          *string `bun:"note" json:"note"`
}

// altered is a table under change, the bindings on it, and what SELECT says of each.
type altered struct {
	t        *testing.T
	plain    *bun.DB // of another process
	reg      *core.Registry
	bindings []alteredBinding
	random   *rand.Rand
	renamed  bool // the column note has another name
	dropped  bool // there is no column note
	away     bool // there is no table
	slowest  time.Duration
}

// alteredBinding is a binding with the SELECT that says what it should hold.
type alteredBinding struct {
	*core.Binding[item]
	query func(*bun.SelectQuery) *bun.SelectQuery
}

func newAltered(t *testing.T, db, plain *bun.DB, seed uint64) *altered {
	a := &altered{t: t, plain: plain, reg: core.NewRegistry(), random: rand.New(rand.NewPCG(seed, 0))}
	add := func(name string, query func(*bun.SelectQuery) *bun.SelectQuery, opts ...core.Option) {
		b := bunsource.Bind[item](db, name, opts...)
		must(t, a.reg.Add(b))
		a.bindings = append(a.bindings, alteredBinding{b, query})
	}
	all := func(q *bun.SelectQuery) *bun.SelectQuery { return q.Order("id") }
	add("all", all)
	add("short", all, core.Columns("id", "name"))
	add("named", func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("name = 'a'").Order("id") }, core.Where(filter.Eq("name", "a")))
	add("some", func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("name IN ('a', 'b')").Order("id") }, core.Where(filter.In("name", "a", "b")))
	add("many", func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("n > 50").Order("id") }, core.Where(filter.Gt("n", 50)))
	add("asked", func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("n % 2 = 0").Order("id") },
		bunsource.Where(func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("n % 2 = 0") }))
	add("first", func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("name = 'a'").Order("n", "id").Limit(5) },
		core.Where(filter.Eq("name", "a")), core.OrderBy("n"), core.Limit(5))
	return a
}

// start starts the registry and waits until all is loaded.
func (a *altered) start(sources ...driver.Source) {
	a.t.Helper()
	must(a.t, a.reg.Watch(sources...))
	must(a.t, a.reg.Start(a.t.Context()))
	a.t.Cleanup(func() { shutdown(a.t, a.reg) })
	a.check("the start")
}

// write writes at random until ctx is done, and calls begun after some writes. Many
// writes fail.
func (a *altered) write(ctx context.Context, db *bun.DB, seed uint64, begun func()) {
	random := rand.New(rand.NewPCG(seed, 1))
	for n := 0; ctx.Err() == nil; n++ {
		if n == 5 {
			begun()
		}
		id, name, n := random.IntN(40), []string{"a", "A", "b", "B", "c", "a "}[random.IntN(6)], random.IntN(100)
		var err error
		switch random.IntN(4) {
		case 0:
			_, err = db.ExecContext(ctx, "INSERT INTO items (id, name, n) VALUES (?, ?, ?)", id, name, n)
		case 1:
			_, err = db.ExecContext(ctx, "DELETE FROM items WHERE id = ?", id)
		case 2:
			_, err = db.ExecContext(ctx, "UPDATE items SET name = ? WHERE id = ?", name, id)
		default:
			_, err = db.ExecContext(ctx, "UPDATE items SET n = ? WHERE id = ?", n, id)
		}
		_ = err // the table may be away, the key taken, the text no number
	}
}

// run alters the table so often, while others write, and compares every binding with
// SELECT each time.
func (a *altered) run(times int, writers []*bun.DB, alter func() []string, db *bun.DB) {
	a.t.Helper()
	for i := range times {
		ctx, stop := context.WithCancel(a.t.Context())
		var writing sync.WaitGroup
		begun := make(chan struct{}, len(writers))
		for w, by := range writers {
			writing.Go(func() { a.write(ctx, by, uint64(1000*i+w), func() { begun <- struct{}{} }) })
		}
		for range writers {
			<-begun
		}
		statements := alter()
		err := db.RunInTx(a.t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
			if isSQLite(db) {
				// RENAME COLUMN does not see by itself that another connection has altered the table.
				statements = slices.Insert(statements, 0, "SELECT count(*) FROM sqlite_master")
			}
			for _, s := range statements {
				if _, err := tx.ExecContext(ctx, s); err != nil {
					return fmt.Errorf("%s: %w", s, err)
				}
			}
			return nil
		})
		stop()
		writing.Wait()
		if err != nil {
			a.t.Fatalf("%d: %v", i, err)
		}
		a.check(fmt.Sprintf("%d: %s", i, strings.Join(statements, "; ")))
	}
	a.t.Logf("%d changes; the slowest showed after %v", times, a.slowest.Round(time.Millisecond))
}

// check waits until every binding is as SELECT says, or, where that cannot be asked,
// stale for a reason.
func (a *altered) check(after string) {
	a.t.Helper()
	begun := time.Now()
	eventually(a.t, "the bindings are right after "+after, func() error {
		var errs []error
		for _, b := range a.bindings {
			var want []item
			err := b.query(a.plain.NewSelect().Model(&want)).Scan(a.t.Context())
			if st := b.Status(); err != nil {
				if st.State != status.Stale || st.Err == nil {
					errs = append(errs, fmt.Errorf("%s is %v (%v), and cannot be read: %w", b.Name(), st.State, st.Err, err))
				}
				continue
			} else if st.State != status.Live {
				errs = append(errs, fmt.Errorf("%s is %v: %w", b.Name(), st.State, st.Err))
			}
			if got := slices.Collect(b.All()); itemsText(got) != itemsText(want) {
				errs = append(errs, fmt.Errorf("%s holds %s\nSELECT says %s", b.Name(), itemsText(got), itemsText(want)))
			}
		}
		return errors.Join(errs...)
	})
	a.slowest = max(a.slowest, time.Since(begun))
}

func itemsText(items []item) string {
	var b strings.Builder
	for _, i := range items {
		note := "-"
		if i.Note != nil {
			note = *i.Note
		}
		fmt.Fprintf(&b, "(%d %q %d %s)", i.ID, i.Name, i.N, note)
	}
	return b.String()
}

// alterings is how often a table is altered: 100 times where there is time.
func alterings() int {
	if os.Getenv("BINDERY_LONG_TESTS") == "1" {
		return 100
	}
	return 20
}

// one returns one of the alternatives.
func (a *altered) one(alternatives ...string) string {
	return alternatives[a.random.IntN(len(alternatives))]
}

// note returns what becomes of the column note: it goes, comes back, or is renamed.
func (a *altered) note() string {
	switch {
	case a.renamed:
		a.renamed = false
		return "ALTER TABLE items RENAME COLUMN remark TO note"
	case a.dropped:
		a.dropped = false
		return fmt.Sprintf("ALTER TABLE items ADD COLUMN note varchar(20) DEFAULT 'new %d'", a.random.IntN(100))
	case a.random.IntN(2) == 0:
		a.renamed = true
		return "ALTER TABLE items RENAME COLUMN note TO remark"
	default:
		a.dropped = true
		return "ALTER TABLE items DROP COLUMN note"
	}
}

// noteColumn is the definition of the column note as it is now.
func (a *altered) noteColumn() string {
	switch {
	case a.renamed:
		return ", remark text"
	case a.dropped:
		return ""
	}
	return ", note text"
}

// alterPostgres returns the statements of one change.
func (a *altered) alterPostgres(swap bool) []string {
	if a.away {
		a.away = false
		return []string{"ALTER TABLE gone RENAME TO items"}
	}
	switch n := a.random.IntN(10); {
	case n == 0:
		return []string{"ALTER TABLE items ALTER id TYPE " + a.one("bigint", "int", "numeric", "smallint")}
	case n <= 2:
		return []string{"ALTER TABLE items ALTER name TYPE " + a.one("citext", "text", "varchar(30)", `text COLLATE "ci"`, `text COLLATE "C"`)}
	case n == 3:
		return []string{"ALTER TABLE items ALTER n TYPE " + a.one("bigint USING n + 1", "int USING n - 1", "numeric(8,2) USING n", "smallint USING 100 - n")}
	case n <= 5:
		return []string{a.note()}
	case n == 6:
		return []string{a.one("ALTER TABLE items ADD COLUMN other int DEFAULT 7", "ALTER TABLE items DROP COLUMN IF EXISTS other",
			"ALTER TABLE items ALTER n DROP NOT NULL", "ALTER TABLE items ALTER n SET NOT NULL", "CREATE INDEX ON items (n)")}
	case n == 7 && swap:
		a.away = true
		return []string{"ALTER TABLE items RENAME TO gone"}
	case swap:
		return []string{
			"CREATE TABLE replacement (id bigint PRIMARY KEY, name " + a.one("citext", "text", "varchar(30)") + " NOT NULL, n int NOT NULL" + a.noteColumn() + ")",
			"INSERT INTO replacement SELECT id, name, n + 1 FROM items",
			a.one("DROP TABLE items", "ALTER TABLE items RENAME TO before"), "DROP TABLE IF EXISTS before",
			"ALTER TABLE replacement RENAME TO items",
		}
	default:
		return []string{"TRUNCATE items", "INSERT INTO items (id, name, n) VALUES (1, 'a', 1), (2, 'A', 99)"}
	}
}

const alteredPostgres = `CREATE EXTENSION IF NOT EXISTS citext;
	CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
	CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL, n int NOT NULL, note text);
	INSERT INTO items SELECT i, 'a', i, 'first' FROM generate_series(1, 10) i`

// TestAlteredPostgres: the table is altered in all ways while others write, and no
// binding is wrong afterwards, whatever the source.
func TestAlteredPostgres(t *testing.T) {
	for _, way := range []struct {
		name    string
		swaps   bool
		sources func(t *testing.T, db *bun.DB, dsn string) []driver.Source
	}{
		{"log", true, func(_ *testing.T, _ *bun.DB, dsn string) []driver.Source {
			return []driver.Source{pgsource.New(dsn, pgsource.Config{SchemaInterval: 20 * time.Millisecond})}
		}},
		{"triggers", false, func(t *testing.T, _ *bun.DB, dsn string) []driver.Source {
			must(t, pgsource.Outbox{}.Install(t.Context(), dsn, driver.Table{Name: "items"}))
			return []driver.Source{pgsource.NewTriggers(dsn, pgsource.TriggerConfig{AuditInterval: 20 * time.Millisecond, PollInterval: 20 * time.Millisecond})}
		}},
		{"polling", true, func(_ *testing.T, db *bun.DB, _ string) []driver.Source {
			return []driver.Source{bunsource.Hooks(db), pollsource.New(20*time.Millisecond, pollsource.XMin(db, 0))}
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel() // mostly it waits
			dsn := postgresDSN(t)
			db, plain := openBoth(t, "pgx", dsn)
			_, err := plain.ExecContext(t.Context(), alteredPostgres)
			must(t, err)
			a := newAltered(t, db, plain, 1)
			a.start(way.sources(t, db, dsn)...)
			a.run(alterings(), []*bun.DB{db, plain}, func() []string { return a.alterPostgres(way.swaps) }, plain)
		})
	}
}

// alterSQLite is alterPostgres for SQLite.
func (a *altered) alterSQLite() []string {
	if a.away {
		a.away = false
		return []string{"ALTER TABLE gone RENAME TO items"}
	}
	switch n := a.random.IntN(8); {
	case n <= 2:
		return []string{a.note()}
	case n == 3:
		return []string{a.one("ALTER TABLE items ADD COLUMN other"+fmt.Sprint(a.random.IntN(1000000))+" int DEFAULT 7", "CREATE INDEX IF NOT EXISTS items_n ON items (n)", "DROP INDEX IF EXISTS items_n")}
	case n == 4:
		a.away = true
		return []string{"ALTER TABLE items RENAME TO gone"}
	default:
		return []string{
			"CREATE TABLE replacement (id " + a.one("INTEGER PRIMARY KEY", "INT PRIMARY KEY NOT NULL", "BIGINT NOT NULL PRIMARY KEY") + ", name " +
				a.one("TEXT", "TEXT COLLATE NOCASE", "TEXT COLLATE RTRIM", "VARCHAR(20)") + " NOT NULL, n INTEGER NOT NULL" + a.noteColumn() + ")",
			"INSERT INTO replacement (id, name, n) SELECT id, name, n + 1 FROM items",
			"DROP TABLE items", "ALTER TABLE replacement RENAME TO items",
		}
	}
}

// TestAlteredSQLite: as TestAlteredPostgres, where another process alters the table, and
// where this one does.
func TestAlteredSQLite(t *testing.T) {
	create := func(t *testing.T, plain *bun.DB) {
		t.Helper()
		_, err := plain.ExecContext(t.Context(), "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL, n INTEGER NOT NULL, note TEXT); INSERT INTO items VALUES (1, 'a', 1, 'first')")
		must(t, err)
	}
	t.Run("by another process", func(t *testing.T) {
		db, plain := openSQLite(t)
		create(t, plain)
		a := newAltered(t, db, plain, 1)
		a.start(bunsource.Hooks(db), pollsource.New(20*time.Millisecond, pollsource.DataVersion(db)))
		a.run(alterings(), []*bun.DB{db, plain}, a.alterSQLite, plain)
	})
	t.Run("by this process, hooks alone", func(t *testing.T) {
		db, plain := openSQLite(t)
		create(t, plain)
		a := newAltered(t, db, plain, 2)
		a.start(bunsource.Hooks(db))
		a.run(alterings(), []*bun.DB{db}, a.alterSQLite, db)
	})
	t.Run("by this process, sqlitesource", func(t *testing.T) {
		dsn := sqliteDSN(t)
		src, err := sqlitesource.New(dsn)
		must(t, err)
		db := bun.NewDB(sql.OpenDB(src.Connector()), sqlitedialect.New())
		t.Cleanup(func() { must(t, db.Close()) })
		plain := openPlain(t, "sqlite", dsn)
		create(t, plain)
		a := newAltered(t, db, plain, 3)
		a.start(src)
		a.run(alterings(), []*bun.DB{db}, a.alterSQLite, db)
	})
}

// TestAlteredUnseen: a binding sends nothing when the table is altered in what it does
// not show.
func TestAlteredUnseen(t *testing.T) {
	db, plain := openSQLite(t)
	_, err := plain.ExecContext(t.Context(), "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL, n INTEGER NOT NULL, note TEXT); INSERT INTO items VALUES (1, 'a', 60, 'first'), (2, 'b', 2, NULL)")
	must(t, err)
	a := newAltered(t, db, plain, 1)
	a.start(bunsource.Hooks(db))
	short, all := a.bindings[1].Binding, a.bindings[0].Binding
	before, seen := short.Status(), all.Status()
	for _, statements := range [][]string{
		{"ALTER TABLE items ADD COLUMN other int DEFAULT 7"},
		{"ALTER TABLE items DROP COLUMN note", "ALTER TABLE items ADD COLUMN note TEXT DEFAULT 'other'"},
		{
			"CREATE TABLE replacement (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE NOT NULL, n INTEGER NOT NULL, note TEXT)",
			"INSERT INTO replacement SELECT id, name, n + 1, note FROM items", "DROP TABLE items", "ALTER TABLE replacement RENAME TO items",
		},
	} {
		must(t, db.RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
			for _, s := range statements {
				if _, err := tx.ExecContext(ctx, s); err != nil {
					return fmt.Errorf("%s: %w", s, err)
				}
			}
			return nil
		}))
		a.check(strings.Join(statements, "; "))
	}
	if now := short.Status(); now.Version.Token != before.Version.Token || now.Events != before.Events || now.Syncs != before.Syncs {
		t.Errorf("the binding that does not show what was altered went from %+v to %+v", before, now)
	}
	if now := all.Status(); now.Events == seen.Events {
		t.Error("nothing was altered")
	}
}
