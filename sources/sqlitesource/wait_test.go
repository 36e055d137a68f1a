package sqlitesource_test

import (
	"context"
	"database/sql"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/sqlitesource"
)

type stock struct {
	ID int64 `json:"id"`
	N  int64 `json:"n"`
}

// stocks is a loader of a table of SQLite.
type stocks struct {
	*driver.Description[stock]
	db *sql.DB
}

func (l *stocks) Load(ctx context.Context, keys []driver.Key) (out []*stock, err error) {
	rows, err := l.db.QueryContext(ctx, `SELECT id, n FROM stocks`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	wanted := map[driver.Key]bool{}
	for _, k := range keys {
		wanted[k] = true
	}
	for rows.Next() {
		var s stock
		if err := rows.Scan(&s.ID, &s.N); err != nil {
			return nil, err
		}
		if keys == nil || wanted[driver.KeyOf(s.ID)] {
			out = append(out, &s)
		}
	}
	return out, rows.Err()
}

func bound(t *testing.T, cfg sqlitesource.Config, pool int) (*sql.DB, *sqlitesource.Source, *core.Binding[stock]) {
	t.Helper()
	src, err := sqlitesource.New("file:"+filepath.Join(t.TempDir(), "test.db")+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(60000)", cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(src.Connector())
	db.SetMaxOpenConns(pool)
	t.Cleanup(func() { db.Close() })
	if _, err := db.Exec(`CREATE TABLE stocks (id INTEGER PRIMARY KEY, n INT)`); err != nil {
		t.Fatal(err)
	}
	b := core.Bind[stock]("stocks", &stocks{driver.Describe[stock](driver.Table{Name: "stocks"}, "id"), db})
	reg := core.NewRegistry()
	_ = reg.Add(b)
	_ = reg.Watch(src)
	if err := reg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		if err := reg.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return db, src, b
}

func TestWritersReadTheirOwnWrites(t *testing.T) {
	db, src, b := bound(t, sqlitesource.Config{WaitTimeout: timeout}, 0)
	for i := range int64(50) {
		if _, err := db.Exec(`INSERT INTO stocks VALUES (?, ?)`, i, i); err != nil {
			t.Fatal(err)
		}
		if row, ok := b.Get(driver.KeyOf(i)); !ok || row.N != i {
			t.Fatalf("the binding does not hold row %d when its insert has returned", i)
		}
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		var n int64
		if err := tx.QueryRow(`UPDATE stocks SET n = n + 100 WHERE id = ? RETURNING n`, i).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if row, _ := b.Get(driver.KeyOf(i)); row.N != i {
			t.Fatalf("the binding holds %v before the commit", row)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if row, _ := b.Get(driver.KeyOf(i)); row.N != n {
			t.Fatalf("the binding holds %v when the commit has returned", row)
		}
	}
	if src.Timeouts() != 0 {
		t.Errorf("%d waits ended too early", src.Timeouts())
	}
}

// TestPoolOfOne has a writer hold the only connection that the engine could
// read by.
func TestPoolOfOne(t *testing.T) {
	var log coretest.Output
	db, src, b := bound(t, sqlitesource.Config{WaitTimeout: 50 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil))}, 1)
	for i := range int64(20) {
		if _, err := db.Exec(`INSERT INTO stocks VALUES (?, 1)`, i); err != nil {
			t.Fatal(err)
		}
	}
	if n := src.Timeouts(); n != 1 {
		t.Errorf("%d writes have waited in vain, want 1", n)
	}
	if !strings.Contains(log.String(), "single connection") {
		t.Errorf("logged: %s", log.String())
	}
	for deadline := time.Now().Add(timeout); b.Len() < 20; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the binding holds %d rows", b.Len())
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	for _, watched := range []bool{false, true} {
		name := map[bool]string{false: "plain", true: "watched"}[watched]
		b.Run(name, func(b *testing.B) {
			r := newRig(b, quiet, shop, shopSchemas()...)
			r.sink.OnReport = nil
			db := r.plain
			if watched {
				db = r.db
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := db.Exec(`UPDATE items SET n = n + 1 WHERE id = 1`); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
