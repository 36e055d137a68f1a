package pollsource

import (
	"context"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/sources/bunsource"
)

type counted struct {
	bun.BaseModel `bun:"table:items"`
	ID            int64 `bun:",pk"`
	N             int64
}

func openWrapped(t testing.TB, dsn string) *bun.DB {
	t.Helper()
	db, err := bunsource.Open("sqlite", dsn, sqlitedialect.New())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// TestDataVersionTellsOwnCommits: what a wrapped pool writes, in any way, is no
// finding, and what others write between is.
func TestDataVersionTellsOwnCommits(t *testing.T) {
	for _, mode := range []string{"WAL", "DELETE"} {
		t.Run(mode, func(t *testing.T) {
			dsn := "file:" + t.TempDir() + "/test.db?_pragma=busy_timeout(60000)&_pragma=journal_mode(" + mode + ")&_txlock=immediate"
			db, elsewhere := openWrapped(t, dsn), openSQLite(t, dsn)
			exec(t, db, `CREATE TABLE items (id INTEGER PRIMARY KEY, n INT)`)
			l := watch(t, DataVersion(db), items("items"))
			l.next()
			if f := l.next(); !f.still {
				t.Errorf("nothing was written: %+v", f)
			}
			for round := range 5 {
				row := &counted{ID: int64(round + 1)}
				if _, err := db.NewInsert().Model(row).Returning("*").Exec(t.Context()); err != nil {
					t.Fatal(err)
				}
				exec(t, db, `UPDATE items SET n = n + 1`, `UPDATE items SET n = n`, `UPDATE items SET n = 1 WHERE id = 99`)
				exec(t, db.DB, `INSERT INTO items VALUES (100, 1)`)
				tx := begin(t, db, `DELETE FROM items WHERE id = 100`, `UPDATE items SET n = 7`)
				l.wantsQuiet()
				commit(t, tx)
				if err := db.RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
					_, err := tx.NewUpdate().Model(row).WherePK().Exec(ctx)
					return err
				}); err != nil {
					t.Fatal(err)
				}
				f := l.next()
				if f.whole || f.changed || f.still {
					t.Errorf("round %d: own writes are found: %+v", round, f)
				}
				exec(t, elsewhere, `UPDATE items SET n = n + 1`)
				exec(t, db, `UPDATE items SET n = n + 1`)
				l.wants("*")
				l.wantsQuiet()
			}
		})
	}
}

// TestOwnCommitsSetOffNoComparison: beside hooks the poll reads nothing because of
// what the process writes, and everything once when others have written.
func TestOwnCommitsSetOffNoComparison(t *testing.T) {
	dsn := sqliteFile(t) + "&_txlock=immediate"
	db, elsewhere := openWrapped(t, dsn), openSQLite(t, dsn)
	exec(t, db, `CREATE TABLE items (id INTEGER PRIMARY KEY, n INT)`,
		`INSERT INTO items WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 2000) SELECT i, 0 FROM s`)
	reg := core.NewRegistry()
	b := bunsource.Bind[counted](db, "items")
	_ = reg.Add(b)
	_ = reg.Watch(bunsource.Hooks(db), New(5*time.Millisecond, DataVersion(db)))
	if err := reg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := reg.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	stats := func() status.Feed { return reg.Status().Tables[0] }
	before := stats()
	for i := range 100 {
		if _, err := db.NewUpdate().Model(&counted{ID: int64(i + 1), N: int64(i + 1)}).WherePK().Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	after := stats()
	if after.Comparisons != before.Comparisons || after.Compared != before.Compared || after.WholeReads != before.WholeReads {
		t.Errorf("own writes set off comparisons: %+v became %+v", before, after)
	}
	if keys := after.BatchKeys - before.BatchKeys; keys < 1 || keys > 200 {
		t.Errorf("%d keys were read for 100 writes", keys)
	}
	exec(t, elsewhere, `UPDATE items SET n = -1 WHERE id = 7`)
	for {
		if it, ok := b.Get(driver.KeyOf(7)); ok && it.N == -1 && stats().Comparisons > before.Comparisons { // counted when it is over
			break
		}
		time.Sleep(time.Millisecond)
	}
	if st := stats(); st.Comparisons < 1 || st.Compared != 2000*st.Comparisons || st.WholeReads != before.WholeReads {
		t.Errorf("when others have written: %+v", st)
	}
}

// TestFullPassOnlyWhenSomethingWasWritten: a check that knows that nothing was
// committed needs no pass.
func TestFullPassOnlyWhenSomethingWasWritten(t *testing.T) {
	poll(t, func(t *testing.T, start func(*Source, *recorder), advance func(time.Duration)) {
		r, s := newRecorder("a"), newScript()
		s.set("a", finding{still: true})
		start(New(time.Second, s, Config{Jitter: -1, FullPass: 5 * time.Second}), r)
		advance(20500 * time.Millisecond)
		s.set("a", finding{})
		advance(time.Second)
		s.set("a", finding{still: true})
		advance(20 * time.Second)
		want(t, r, "0s watching", "25s a*")
	})
}
