package sqlitefile

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// contents returns the table's rows.
func contents(t *testing.T, db *sql.DB) map[int64]string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT id, v, n FROM t")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	all := make(map[int64]string)
	for rows.Next() {
		var id, n int64
		var v string
		if err := rows.Scan(&id, &v, &n); err != nil {
			t.Fatal(err)
		}
		all[id] = fmt.Sprint(v, n)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func rootOf(t *testing.T, db *sql.DB, table string) (root uint32) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), "SELECT rootpage FROM sqlite_master WHERE name = ?", table).Scan(&root); err != nil {
		t.Fatal(err)
	}
	return root
}

// TestLog: whatever is written, the log tells the rows that have changed, in tables of
// small pages, with rows that go on in other pages, beside another table. (What is
// overwritten only where a row goes on in other pages is not told.)
func TestLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db := open(t, path, "WAL")
	db.SetMaxOpenConns(1)
	exec(t, db, "PRAGMA wal_autocheckpoint = 0")
	for _, size := range []int{512, 4096} {
		exec(t, db, "PRAGMA journal_mode = DELETE", fmt.Sprintf("PRAGMA page_size = %d", size), "DROP TABLE IF EXISTS t", "DROP TABLE IF EXISTS other", "VACUUM", "PRAGMA journal_mode = WAL",
			"CREATE TABLE other (id INTEGER PRIMARY KEY, v TEXT)", "CREATE TABLE t (id INTEGER PRIMARY KEY, n INT, v TEXT)", "CREATE INDEX t_v ON t (n, v)")
		l := NewLog(path)
		l.Skip()
		root := rootOf(t, db, "t")
		random := rand.New(rand.NewPCG(uint64(size), 1))
		before, exact := contents(t, db), 0
		for step := range 200 {
			var statements []string
			for range 1 + random.IntN(3) {
				id, text := random.IntN(3000), strings.Repeat(string(rune('a'+random.IntN(26))), random.IntN(20)*random.IntN(20)*random.IntN(6))
				statements = append(statements, [...]string{
					fmt.Sprintf("INSERT OR REPLACE INTO t VALUES (%d, %d, '%s')", id, step, text),
					fmt.Sprintf("INSERT OR REPLACE INTO t SELECT value * 7, %d, '%s' FROM generate_series", step, text),
					fmt.Sprintf("UPDATE t SET n = %d WHERE id BETWEEN %d AND %d", step, id, id+random.IntN(50)),
					fmt.Sprintf("DELETE FROM t WHERE id BETWEEN %d AND %d", id, id+random.IntN(200)),
					fmt.Sprintf("INSERT INTO other (v) VALUES ('%s')", text),
					fmt.Sprintf("UPDATE t SET id = id + 10000 WHERE id = %d", id),
				}[random.IntN(6)])
			}
			for i, s := range statements {
				statements[i] = strings.Replace(s, "FROM generate_series", fmt.Sprintf("FROM (WITH RECURSIVE g(value) AS (SELECT %d UNION ALL SELECT value + 1 FROM g LIMIT 100) SELECT * FROM g)", random.IntN(400)), 1)
			}
			tx, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			exec(t, tx, statements...)
			if random.IntN(5) == 0 {
				err = tx.Rollback()
			} else {
				err = tx.Commit()
			}
			if err != nil {
				t.Fatal(err)
			}
			now := contents(t, db)
			got, err := l.Rows([]uint32{root})
			if err != nil {
				t.Fatalf("%d: %v", step, err)
			}
			changed := 0
			for _, id := range allKeys(before, now) {
				if before[id] == now[id] {
					continue
				}
				changed++
				if !slices.Contains(got[root], id) {
					t.Fatalf("pages of %d, step %d: row %d has changed from %.20q to %.20q and is not told, after %q", size, step, id, before[id], now[id], statements)
				}
			}
			if changed == len(got[root]) {
				exact++
			}
			before = now
		}
		if exact < 150 {
			t.Errorf("pages of %d: other rows than those that changed were told in %d steps of 200", size, 200-exact)
		}
	}
}

func allKeys(a, b map[int64]string) (ids []int64) {
	for id := range a {
		ids = append(ids, id)
	}
	for id := range b {
		if _, twice := a[id]; !twice {
			ids = append(ids, id)
		}
	}
	return ids
}

// TestLogBeginsAnew: after a checkpoint that empties the log what comes then is told,
// and a database without a log tells nothing.
func TestLogBeginsAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db := open(t, path, "WAL")
	exec(t, db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)", "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
	l := NewLog(path)
	l.Skip()
	root := rootOf(t, db, "t")
	exec(t, db, "PRAGMA wal_checkpoint(TRUNCATE)", "UPDATE t SET v = 'c' WHERE id = 2")
	if got, err := l.Rows([]uint32{root}); err != nil || !slices.Equal(got[root], []int64{2}) {
		t.Errorf("after a checkpoint: %v, %v", got, err)
	}
	if got, err := l.Rows([]uint32{root}); err != nil || len(got[root]) != 0 {
		t.Errorf("without a change: %v, %v", got, err)
	}
	if _, err := l.Rows([]uint32{1 << 30}); err == nil {
		t.Error("a table that is not there tells something")
	}
	plain := filepath.Join(t.TempDir(), "plain.db")
	exec(t, open(t, plain, "DELETE"), "CREATE TABLE t (id INTEGER PRIMARY KEY)")
	if _, err := NewLog(plain).Rows([]uint32{2}); err == nil {
		t.Error("a database without a log tells something")
	}
}

// FuzzPage: no page makes the reader fail otherwise than by an error.
func FuzzPage(f *testing.F) {
	f.Add([]byte{leafTable, 0, 0, 0, 1, 0, 20, 0, 0, 12, 0, 0, 3, 1, 2, 3, 4, 5})
	f.Add([]byte{interiorTable, 0, 0, 0, 1, 0, 20, 0, 0, 0, 0, 9, 0, 14, 0, 0, 0, 3, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			t.Skip()
		}
		p := page{data: append(data, make([]byte, max(0, 512-len(data)))...), usable: 512}
		_, _ = p.children(nil)
		_ = p.rows(func(_ int64, cell []byte) {
			if len(cell) == 0 {
				t.Error("an empty cell")
			}
		})
	})
}
