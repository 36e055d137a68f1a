package sqlitefile

import (
	"database/sql"
	"errors"
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

// TestLog: whatever is written, the log tells the rows that have changed, or says that it
// does not: in tables of small pages, with rows that go on in other pages, beside another
// table with such rows, with pages that become free and are used again. Rows whose
// size does not change are overwritten in place, often only where they go on.
func TestLog(t *testing.T) {
	for _, mode := range []struct {
		size            int
		setting         string
		key             string
		exact, complete int // steps of 150 at least
	}{
		{512, "PRAGMA secure_delete = 0", "INTEGER PRIMARY KEY", 125, 125},
		{512, "PRAGMA secure_delete = 0", "INT PRIMARY KEY", 125, 125},
		{512, "PRAGMA secure_delete = 1", "INTEGER PRIMARY KEY", 125, 125},
		{1024, "PRAGMA auto_vacuum = FULL", "INTEGER PRIMARY KEY DESC", 125, 125},
		{4096, "PRAGMA secure_delete = 0", "INTEGER PRIMARY KEY", 125, 125},
	} {
		t.Run(fmt.Sprint(mode.size, mode.setting, mode.key), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "test.db")
			db := open(t, path, "DELETE")
			db.SetMaxOpenConns(1)
			exec(t, db, fmt.Sprintf("PRAGMA page_size = %d", mode.size), mode.setting, "VACUUM", "PRAGMA journal_mode = WAL", "PRAGMA wal_autocheckpoint = 0",
				"CREATE TABLE other (id INTEGER PRIMARY KEY, v TEXT)", fmt.Sprintf("CREATE TABLE t (id %s, n INT, v TEXT)", mode.key), "CREATE INDEX t_v ON t (n, v)",
				"CREATE TABLE bare (k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID")
			l := NewLog(path)
			at, err := l.Position()
			if err != nil {
				t.Fatal(err)
			}
			root := rootOf(t, db, "t")
			numbered := []Table{{Root: root, Key: []int{0}, Number: strings.HasPrefix(mode.key, "INTEGER")}}
			random := rand.New(rand.NewPCG(uint64(mode.size), 1))
			before, exact, complete := contents(t, db), 0, 0
			for step := range 150 {
				var statements []string
				for range 1 + random.IntN(3) {
					id, text := random.IntN(3000), strings.Repeat(string(rune('a'+random.IntN(26))), random.IntN(20)*random.IntN(20)*random.IntN(6))
					statements = append(statements, [...]string{
						fmt.Sprintf("INSERT OR REPLACE INTO t VALUES (%d, %d, '%s')", id, step, text),
						fmt.Sprintf("INSERT OR REPLACE INTO t SELECT value * 7, %d, '%s' FROM generate_series", step, text),
						fmt.Sprintf("UPDATE t SET n = %d WHERE id BETWEEN %d AND %d", step, id, id+random.IntN(50)),
						fmt.Sprintf("DELETE FROM t WHERE id BETWEEN %d AND %d", id, id+random.IntN(200)),
						fmt.Sprintf("INSERT INTO other (v) VALUES ('%s')", text),
						"UPDATE other SET v = substr(v, 1, length(v) - 1) || 'x' WHERE id = (SELECT max(id) FROM other)",
						"DELETE FROM other WHERE id = (SELECT max(id) FROM other)",
						fmt.Sprintf("INSERT OR REPLACE INTO bare VALUES ('%d', '%s')", id%50, text),
						fmt.Sprintf("UPDATE t SET id = id + 10000 WHERE id = %d", id),
						fmt.Sprintf("UPDATE t SET v = substr(v, 1, length(v) - 1) || '%d' WHERE id BETWEEN %d AND %d AND length(v) > 0", step%10, id, id+random.IntN(300)),
					}[random.IntN(10)])
				}
				for i, s := range statements {
					statements[i] = strings.Replace(s, "FROM generate_series", fmt.Sprintf("FROM (WITH RECURSIVE g(value) AS (SELECT %d UNION ALL SELECT value + 1 FROM g LIMIT 100) SELECT * FROM g)", random.IntN(400)), 1)
				}
				if random.IntN(20) == 0 {
					exec(t, db, "PRAGMA wal_checkpoint(PASSIVE)")
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
				if random.IntN(20) == 0 {
					exec(t, db, "PRAGMA wal_checkpoint(PASSIVE)")
				}
				now := contents(t, db)
				got, err := l.Changed(at, numbered)
				if err != nil && !errors.Is(err, ErrGap) {
					t.Fatalf("%d: %v", step, err)
				}
				told := idsOf(t, got[root])
				changed := 0
				for _, id := range allKeys(before, now) {
					if err != nil || before[id] == now[id] {
						continue
					}
					changed++
					if !slices.Contains(told, id) {
						t.Fatalf("step %d: row %d has changed from %.20q to %.20q and is not told, after %q", step, id, before[id], now[id], statements)
					}
				}
				if err == nil {
					complete++
					if changed == len(told) {
						exact++
					}
				}
				before = now
				if at, err = l.Position(); err != nil {
					t.Fatal(err)
				}
			}
			if exact < mode.exact || complete < mode.complete {
				t.Errorf("all rows were told in %d steps of 150, and no others in %d", complete, exact)
			}
		})
	}
}

// idsOf returns the keys that were told, each once.
func idsOf(t *testing.T, keys [][]any) (ids []int64) {
	t.Helper()
	for _, key := range keys {
		id, ok := key[0].(int64)
		if !ok || len(key) != 1 {
			t.Fatalf("a key is told as %v", key)
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
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

// TestLogBeginsAnew: after a checkpoint that empties the log what comes then is told, if
// everything in the older log had been read; and a database without a log tells nothing.
func TestLogBeginsAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db := open(t, path, "WAL")
	exec(t, db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)", "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
	l := NewLog(path)
	position := func() Position {
		t.Helper()
		at, err := l.Position()
		if err != nil {
			t.Fatal(err)
		}
		if parsed, err := ParsePosition(at.String()); err != nil || parsed != at {
			t.Fatalf("%+v is written as %s, and read as %+v, %v", at, at, parsed, err)
		}
		return at
	}
	root := rootOf(t, db, "t")
	numbered := []Table{{Root: root, Key: []int{0}, Number: true}}
	first := position()
	exec(t, db, "PRAGMA wal_checkpoint(TRUNCATE)", "UPDATE t SET v = 'c' WHERE id = 2")
	if got, err := l.Changed(first, numbered); err != nil || !slices.Equal(idsOf(t, got[root]), []int64{2}) {
		t.Errorf("after a checkpoint: %v, %v", got, err)
	}
	if got, err := l.Changed(position(), numbered); err != nil || len(got[root]) != 0 {
		t.Errorf("without a change: %v, %v", got, err)
	}
	second := position()
	exec(t, db, "UPDATE t SET v = 'd' WHERE id = 1", "PRAGMA wal_checkpoint(TRUNCATE)", "UPDATE t SET v = 'e' WHERE id = 2")
	for what, at := range map[string]Position{"commits that a checkpoint has taken away": first, "one such commit": second, "another file": {}} {
		if got, err := l.Changed(at, numbered); !errors.Is(err, ErrGap) {
			t.Errorf("%s are told: %v, %v", what, got, err)
		}
	}
	exec(t, db, "PRAGMA wal_checkpoint(TRUNCATE)")
	third := position()
	exec(t, db, "UPDATE t SET v = 'f' WHERE id = 1", "PRAGMA wal_checkpoint(PASSIVE)")
	if got, err := l.Changed(third, numbered); !errors.Is(err, ErrGap) {
		t.Errorf("what a checkpoint has overtaken is told: %v, %v", got, err)
	}
	if _, err := l.Changed(third, []Table{{Root: 1 << 30, Key: []int{0}, Number: true}}); err == nil {
		t.Error("a table that is not there tells something")
	}
	fourth := position()
	exec(t, db, "CREATE TABLE more (id INTEGER PRIMARY KEY)")
	if got, err := l.Changed(fourth, numbered); !errors.Is(err, ErrGap) {
		t.Errorf("a change of the schema is no gap: %v, %v", got, err)
	}
	plain := filepath.Join(t.TempDir(), "plain.db")
	exec(t, open(t, plain, "DELETE"), "CREATE TABLE t (id INTEGER PRIMARY KEY)")
	if _, err := NewLog(plain).Position(); err == nil {
		t.Error("a database without a log tells something")
	}
	for _, bad := range []string{"", "00", "zz", first.String() + "0"} {
		if _, err := ParsePosition(bad); err == nil {
			t.Errorf("%q is a position", bad)
		}
	}
}

// FuzzPage: no page makes the reader fail otherwise than by an error.
func FuzzPage(f *testing.F) {
	f.Add([]byte{leafTable, 0, 0, 0, 1, 0, 20, 0, 0, 12, 0, 0, 3, 1, 2, 3, 4, 5})
	f.Add([]byte{interiorTable, 0, 0, 0, 1, 0, 20, 0, 0, 0, 0, 9, 0, 14, 0, 0, 0, 3, 1})
	f.Add([]byte{leafIndex, 0, 0, 0, 1, 0, 20, 0, 0, 12, 0, 0, 3, 1, 2, 3, 4, 5})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			t.Skip()
		}
		p := page{data: append(data, make([]byte, max(0, 512-len(data)))...), usable: 512}
		_, _ = p.children(nil)
		_, _ = p.chains()
		_ = p.rows(func(_ int64, cell []byte, _ chain) {
			if len(cell) == 0 {
				t.Error("an empty cell")
			}
		})
	})
}
