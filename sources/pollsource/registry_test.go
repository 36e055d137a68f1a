package pollsource

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

const (
	often   = 5 * time.Millisecond
	patient = 60 * time.Second // no test takes that long, unless it fails
)

// item is a row of the tables in these tests.
type item struct {
	ID        int64  `json:"id"`
	Name      string `json:"name"`
	UpdatedAt int64  `json:"updated_at"`
}

// table is a loader over a table of items.
type table struct {
	*driver.Description[item]
	db    *sql.DB
	query string
	// Rows asked for by their keys, and reads of the whole table.
	byKey, whole atomic.Int64
}

func newTable(db *bun.DB, name string) *table {
	return &table{
		Description: driver.Describe[item](driver.Table{Name: name}, "id"), db: db.DB,
		query: `SELECT id, name, updated_at FROM ` + name + ` ORDER BY id`,
	}
}

func (l *table) Load(ctx context.Context, keys []driver.Key) ([]*item, error) {
	if keys == nil {
		l.whole.Add(1)
	}
	l.byKey.Add(int64(len(keys)))
	all, err := l.rows(ctx)
	var found []*item
	for _, it := range all {
		if keys == nil || slices.Contains(keys, driver.KeyOf(it.ID)) {
			found = append(found, &it)
		}
	}
	return found, err
}

func (l *table) rows(ctx context.Context) (all []item, err error) {
	rows, err := l.db.QueryContext(ctx, l.query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var it item
		if err := rows.Scan(&it.ID, &it.Name, &it.UpdatedAt); err != nil {
			return nil, err
		}
		all = append(all, it)
	}
	return all, rows.Err()
}

// live is a table that is bound in a running registry.
type live struct {
	*table
	binding *core.Binding[item]
	reg     *core.Registry
	ctx     context.Context
	changed chan struct{}
}

func start(t *testing.T, db *bun.DB, sources ...driver.Source) *live {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	t.Cleanup(cancel)
	l := &live{
		table: newTable(db, "items"), ctx: ctx, changed: make(chan struct{}, 1),
		reg: core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}.NewRegistry(),
	}
	l.binding = core.Bind("items", l.table, core.OrderBy("id"))
	_ = l.reg.Add(l.binding)
	_ = l.reg.Watch(sources...)
	if err := l.reg.Start(ctx); err != nil {
		t.Fatal(err)
	}
	stop := l.binding.OnChange(func(core.Delta[item]) {
		select {
		case l.changed <- struct{}{}:
		default:
		}
	})
	t.Cleanup(func() {
		stop()
		ctx, cancel := context.WithTimeout(context.Background(), patient)
		defer cancel()
		if err := l.reg.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	return l
}

// await waits until the condition holds, looking after every change and now and
// then.
func (l *live) await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(often)
	defer tick.Stop()
	for !condition() {
		select {
		case <-l.changed:
		case <-tick.C:
		case <-l.ctx.Done():
			t.Fatalf("%s: not seen in time; sources: %+v", what, l.reg.Status().Sources)
		}
	}
}

// converge waits until the binding shows what the table holds.
func (l *live) converge(t *testing.T) {
	t.Helper()
	want, err := l.rows(l.ctx)
	if err != nil {
		t.Fatal(err)
	}
	l.await(t, fmt.Sprintf("want %v", want), func() bool { return slices.Equal(slices.Collect(l.binding.All()), want) })
}

const itemsTable = `CREATE TABLE items (id bigint PRIMARY KEY, name text NOT NULL, updated_at bigint NOT NULL)`

// setItem writes a row. Its watermark is given by the test's own count.
func setItem(t testing.TB, db execer, id int, name string, watermark int64) {
	t.Helper()
	exec(t, db, fmt.Sprintf(`INSERT INTO items VALUES (%d, '%s', %d)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, updated_at = excluded.updated_at`, id, name, watermark))
}

// TestConvergence lets rows come, change and go, in transactions that overlap,
// and waits for each check to show them.
func TestConvergence(t *testing.T) {
	checks := []struct {
		name  string
		check func(*bun.DB) Check
		cfg   *Config
		keys  bool // it reports keys
		only  string
	}{
		{"every", func(*bun.DB) Check { return nil }, nil, false, ""},
		{"query", func(db *bun.DB) Check { return Query(db, "SELECT count(*), sum(updated_at) FROM ?TableName") }, nil, false, ""},
		{"dataversion", DataVersion, nil, false, "sqlite"},
		{"xmin", func(db *bun.DB) Check { return XMin(db, 0) }, nil, true, "pg"},
		{"watermark", func(db *bun.DB) Check {
			return Watermark(db, "updated_at", WatermarkConfig{Overlap: patient})
		}, &Config{FullPass: 100 * time.Millisecond}, true, ""},
	}
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		for _, c := range checks {
			if c.only != "" && c.only != db.Dialect().Name().String() {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				exec(t, db, `DROP TABLE IF EXISTS items`, itemsTable)
				watermark := int64(0)
				for id := range 10 {
					setItem(t, db, id, "first", watermark)
				}
				l := start(t, db, New(often, c.check(db), orZero(c.cfg)))
				l.converge(t)
				for round := range 5 {
					// Slow to commit, with the lower watermark.
					slow := begin(t, db)
					if db.Dialect().Name().String() == "pg" {
						setItem(t, slow, 100+round, "slow", watermark)
					}
					for range 5 {
						watermark++
						id := rand.IntN(20)
						if rand.IntN(4) == 0 {
							exec(t, db, fmt.Sprintf(`DELETE FROM items WHERE id = %d`, id))
						} else {
							setItem(t, db, id, fmt.Sprintf("name %d", rand.IntN(100)), watermark)
						}
					}
					l.converge(t)
					commit(t, slow)
					l.converge(t)
				}
				if c.keys && l.byKey.Load() == 0 {
					t.Error("no rows were read by their keys")
				}
			})
		}
	})
}

// TestLongTransaction is what the watermark's overlap is for, against a
// database and an engine, without a full pass to help.
func TestLongTransaction(t *testing.T) {
	const busy = 200 * time.Millisecond // others write meanwhile
	test := func(t *testing.T, db *bun.DB, overlap time.Duration, writesEarly bool) {
		exec(t, db, itemsTable)
		l := start(t, db, New(often, Watermark(db, "updated_at", WatermarkConfig{Overlap: overlap}), Config{FullPass: -1}))
		setItem(t, db, 1, "first", 1)
		l.converge(t)
		if overlap < busy {
			// Without long transactions the table is read twice: at the start,
			// and for what was running then.
			l.await(t, "the settling", func() bool { return l.whole.Load() == 2 })
		}
		reads := l.whole.Load()

		long := begin(t, db)
		write := func() { setItem(t, long, 2, "late", 2) }
		if writesEarly {
			write()
		}
		began := time.Now()
		for watermark := int64(3); time.Since(began) < busy; watermark++ {
			setItem(t, db, 1, "busy", watermark)
			l.converge(t)
		}
		if !writesEarly {
			write()
		}
		commit(t, long)
		l.converge(t)
		if n := l.whole.Load(); n != reads {
			t.Errorf("the whole table was read %d times", n-reads)
		}
	}
	t.Run("sqlite", func(t *testing.T) { test(t, openSQLite(t, sqliteFile(t)), patient, false) }) // has one writer at a time
	t.Run("postgres", func(t *testing.T) { test(t, openPostgres(t), patient, false) })
	t.Run("postgres, longer than the overlap", func(t *testing.T) { test(t, openPostgres(t), busy/10, true) })
}

func TestTableBoundAtRunTime(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		exec(t, db, itemsTable, `CREATE TABLE more (id bigint PRIMARY KEY, name text NOT NULL, updated_at bigint NOT NULL)`)
		l := start(t, db, New(often, Query(db, "SELECT count(*) FROM ?TableName")))
		more := newTable(db, "more")
		binding := core.Bind("more", more)
		if err := l.reg.Add(binding); err != nil {
			t.Fatal(err)
		}
		for id := range 3 {
			exec(t, db, fmt.Sprintf(`INSERT INTO more VALUES (%d, 'x', 1)`, id))
			l.await(t, "a row of the new table", func() bool { return binding.Len() == id+1 })
		}
		if err := l.reg.Remove(l.ctx, "more"); err != nil {
			t.Fatal(err)
		}
		setItem(t, db, 1, "x", 1)
		l.converge(t)
	})
}

// TestDatabaseGoesAndComes stops the server under a source and starts it again.
func TestDatabaseGoesAndComes(t *testing.T) {
	server := pgtest.Start(t)
	db := bun.NewDB(open(t, "pgx", server.DSN("postgres")), pgdialect.New())
	exec(t, db, itemsTable)
	setItem(t, db, 1, "first", 1)
	l := start(t, db, New(often, XMin(db, 0)))
	l.converge(t)
	server.Stop(t)
	l.await(t, "the loss", func() bool { return l.binding.Status().State == status.Stale })
	if l.binding.Len() != 1 {
		t.Error("rows are gone with the server")
	}
	server.Restart(t)
	server.Exec(t, "postgres", `UPDATE items SET name = 'meanwhile'`)
	l.await(t, "the return", func() bool { return l.binding.Status().State == status.Live })
	l.converge(t)
	server.Exec(t, "postgres", `UPDATE items SET name = 'again'`)
	l.converge(t)
}

// TestXMinAndRowsThatCameAndWent: rows that others insert and delete between two
// polls, and that a binding has read meanwhile, are gone after the next poll,
// without any full pass.
func TestXMinAndRowsThatCameAndWent(t *testing.T) {
	for name, maxRows := range map[string]int{"keys": 0, "print": 1} {
		t.Run(name, func(t *testing.T) {
			db := openPostgres(t)
			exec(t, db, itemsTable)
			setItem(t, db, 1, "stays", 1)
			setItem(t, db, 2, "stays", 1)
			others := &coretest.Source{}
			l := start(t, db, New(200*time.Millisecond, XMin(db, maxRows), Config{FullPass: -1, Jitter: -1}), others)
			for round := range 5 {
				id := 10 + round
				setItem(t, db, id, "comes and goes", 2)
				if err := others.Report(l.ctx, driver.Change{Table: driver.Table{Name: "items"}, Keys: []driver.Key{driver.KeyOf(id)}}); err != nil {
					t.Fatal(err)
				}
				exec(t, db, fmt.Sprintf("DELETE FROM items WHERE id = %d", id)) // and nobody is told
				l.converge(t)
			}
		})
	}
}
