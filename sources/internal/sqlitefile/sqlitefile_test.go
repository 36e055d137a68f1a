package sqlitefile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type fatalTester interface {
	Helper()
	Fatal(...any)
}

func open(t testing.TB, path, mode string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(60000)&_pragma=journal_mode("+mode+")&_pragma=synchronous(OFF)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func exec(t fatalTester, db interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, statements ...string,
) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(context.Background(), s); err != nil {
			t.Fatal(s, err)
		}
	}
}

// TestCounter: the number moves by one with each commit that writes, and not
// otherwise.
func TestCounter(t *testing.T) {
	for _, mode := range []string{"WAL", "DELETE", "TRUNCATE", "PERSIST"} {
		t.Run(mode, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "test.db")
			db := open(t, path, mode)
			db.SetMaxOpenConns(1)
			exec(t, db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v INT)", "CREATE TEMP TABLE own (v)")
			c, err := NewCounter(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range []struct {
				commits    uint32
				statements []string
			}{
				{1, []string{"INSERT INTO t VALUES (1, 1), (2, 2)"}},
				{0, []string{"UPDATE t SET v = v"}},
				{0, []string{"UPDATE t SET v = 9 WHERE id = 99"}},
				{1, []string{"BEGIN", "UPDATE t SET v = 3", "UPDATE t SET v = 4", "COMMIT"}},
				{0, []string{"BEGIN", "UPDATE t SET v = 5", "ROLLBACK"}},
				{0, []string{"INSERT INTO own VALUES (1)"}},
				{0, []string{"INSERT OR IGNORE INTO t VALUES (1, 7)"}},
				{0, []string{"PRAGMA wal_checkpoint(TRUNCATE)"}},
				{1, []string{"DELETE FROM t"}},
			} {
				before, err := c.Read()
				if err != nil {
					t.Fatal(err)
				}
				exec(t, db, step.statements...)
				after, err := c.Read()
				if err != nil || after.Series != before.Series || after.Commits-before.Commits != step.commits {
					t.Errorf("%q: %+v became %+v (%v), want %d more", step.statements, before, after, err, step.commits)
				}
			}
		})
	}
	if _, err := NewCounter(""); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("of a database in memory: %v", err)
	}
}

// TestLocksSurvive: another connection's lock is still there after the files were
// read, and read again after they were replaced.
func TestLocksSurvive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db := open(t, path, "WAL")
	exec(t, db, "CREATE TABLE t (v)")
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, tx, "INSERT INTO t VALUES (1)")
	for range 3 {
		c, err := NewCounter(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(); err != nil {
			t.Fatal(err)
		}
	}
	other := open(t, path, "WAL")
	other.SetMaxOpenConns(1)
	exec(t, other, "PRAGMA busy_timeout = 0")
	if _, err := other.ExecContext(t.Context(), "INSERT INTO t VALUES (2)"); err == nil {
		t.Error("two transactions write at a time")
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// TestLedgerAgainstModel: whatever a pool and others commit, in turns and side by
// side, the others are told, and nobody when there were none.
func TestLedgerAgainstModel(t *testing.T) {
	for _, mode := range []string{"WAL", "DELETE"} {
		t.Run(mode, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "test.db")
			own, others := open(t, path, mode), open(t, path, mode)
			exec(t, own, "CREATE TABLE t (v)", "INSERT INTO t VALUES (0)")
			counter, err := NewCounter(path)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			write := func(t *rapid.T, db *sql.DB) {
				n++
				exec(t, db, fmt.Sprint("UPDATE t SET v = ", n))
			}
			rapid.Check(t, func(t *rapid.T) {
				var ledger Ledger
				alarms := 0
				w, err := NewWatch(counter, &ledger, "main", func() { alarms++ })
				if err != nil {
					t.Fatal(err)
				}
				defer w.Close()
				foreign := 0    // not told yet
				unfinished := 0 // of these, since a commit of the pool began
				t.Repeat(map[string]func(*rapid.T){
					"own": func(t *rapid.T) {
						ledger.Begin()
						write(t, own)
						ledger.End("main")
					},
					"own that writes nothing": func(t *rapid.T) {
						ledger.Begin()
						exec(t, own, "UPDATE t SET v = 0 WHERE v < 0")
						ledger.End()
					},
					"own that writes nothing, beside others": func(t *rapid.T) {
						ledger.Begin()
						write(t, others)
						exec(t, own, "UPDATE t SET v = 0 WHERE v < 0")
						before := alarms
						if ledger.End(); alarms == before {
							t.Fatal("no alarm")
						}
						foreign++
					},
					"own that changes no value, beside others": func(t *rapid.T) {
						ledger.Begin()
						exec(t, own, "UPDATE t SET v = v") // leaves the file alone
						write(t, others)
						before := alarms
						if ledger.End(); alarms == before {
							t.Fatal("no alarm")
						}
						foreign++
					},
					"both at a time": func(t *rapid.T) {
						ledger.Begin()
						ledger.Begin()
						write(t, others)
						write(t, own)
						found, err := w.Look()
						if err != nil || found.Settled || found.Foreign != (foreign > 0) {
							t.Fatalf("in the midst %+v (%v), with %d others before", found, err, foreign)
						}
						foreign = 0
						unfinished = 1
						ledger.End("main")
						write(t, own)
						before := alarms
						ledger.End("main")
						if alarms == before {
							t.Fatal("no alarm")
						}
						foreign += unfinished
					},
					"others": func(t *rapid.T) {
						write(t, others)
						foreign++
					},
					"look": func(t *rapid.T) {
						found, err := w.Look()
						if err != nil || !found.Settled || found.Foreign != (foreign > 0) {
							t.Fatalf("found %+v (%v), with %d others", found, err, foreign)
						}
						foreign = 0
					},
				})
			})
		})
	}
}

// TestReplacedFile: another file in the place of the database is somebody's work.
func TestReplacedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db := open(t, path, "WAL")
	exec(t, db, "CREATE TABLE t (v)")
	counter, _ := NewCounter(path)
	w, err := NewWatch(counter, nil, "main", func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	exec(t, db, "PRAGMA journal_mode = DELETE")
	if found, err := w.Look(); err != nil || !found.Foreign {
		t.Errorf("%+v %v", found, err)
	}
	if found, err := w.Look(); err != nil || found.Foreign {
		t.Errorf("told twice: %+v %v", found, err)
	}
}

// TestAlarm: a commit rings, whoever makes it; other files do not.
func TestAlarm(t *testing.T) {
	for _, mode := range []string{"WAL", "DELETE"} {
		t.Run(mode, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "test.db")
			db := open(t, path, mode)
			exec(t, db, "CREATE TABLE t (v)")
			rings := make(chan struct{}, 1)
			a, err := NewAlarm(path, func() {
				select {
				case rings <- struct{}{}:
				default:
				}
			})
			if err != nil {
				t.Skip(err)
			}
			defer a.Close()
			exec(t, db, "INSERT INTO t VALUES (1)")
			select {
			case <-rings:
			case <-t.Context().Done():
				t.Error("no ring")
			}
		})
	}
	if _, err := NewAlarm(filepath.Join(t.TempDir(), "none", "test.db"), func() {}); err == nil {
		t.Error("a directory that does not exist is watched")
	}
}
