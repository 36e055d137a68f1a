package pollsource

import (
	"fmt"
	"slices"
	"testing"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
)

// TestWALLog: in WAL mode a look hands over a log that tells the rows which another process
// has changed, of tables that have row numbers. Own commits between, which
// may make SQLite begin the log anew, do not matter.
func TestWALLog(t *testing.T) {
	for _, c := range []struct {
		mode, columns string
		told          bool
	}{
		{"WAL", "id INTEGER PRIMARY KEY, n INT", true},
		{"WAL", "id INT PRIMARY KEY, n INT", true},
		{"WAL", "description TEXT, double INT AS (n * 2), n INT, id INTEGER PRIMARY KEY DESC", true},
		{"WAL", "double INT AS (n * 2) STORED, id INTEGER, n INT, PRIMARY KEY (n, id)", true},
		{"WAL", "n INT, id INTEGER PRIMARY KEY", true},
		{"WAL", "id INT PRIMARY KEY, n INT) WITHOUT ROWID; CREATE TABLE more (id INT", false},
		{"DELETE", "id INTEGER PRIMARY KEY, n INT", false},
	} {
		t.Run(c.mode+" "+c.columns, func(t *testing.T) {
			dsn := "file:" + t.TempDir() + "/test.db?_pragma=busy_timeout(60000)&_pragma=journal_mode(" + c.mode + ")"
			db, elsewhere := openWrapped(t, dsn), openSQLite(t, dsn)
			exec(t, db, "CREATE TABLE items ("+c.columns+")")
			exec(t, db, `WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s LIMIT 3000) INSERT INTO items (id, n) SELECT i, i FROM s`)
			schema := items("items")
			l := watch(t, DataVersion(db), schema)
			l.watcher.(logging).logOf([]driver.Schema{schema})
			at := driver.Position("")
			l.next()
			for _, step := range []struct {
				statement string
				rows      []int64
			}{
				{"UPDATE items SET n = 0 WHERE id = 7", []int64{7}},
				{"DELETE FROM items WHERE id IN (8, 2999)", []int64{8, 2999}},
				{"INSERT INTO items (id, n) VALUES (8, 1), (5000, 1)", []int64{8, 5000}},
				{"UPDATE items SET id = 6000 WHERE id = 9", []int64{9, 6000}},
			} {
				exec(t, db, "UPDATE items SET n = -1 WHERE id = 1000", "PRAGMA wal_checkpoint(TRUNCATE)", "UPDATE items SET n = -2 WHERE id = 1000")
				l.next()
				exec(t, elsewhere, step.statement)
				found := l.next()
				if !found.whole || !found.changed {
					t.Fatalf("after %s: %+v", step.statement, found)
				}
				if found.log == nil {
					if c.mode == "WAL" {
						t.Fatal("there is no log")
					}
					continue
				}
				rows, err := found.log.Changed(t.Context(), []driver.Table{schema.Table}, at)
				if (err == nil) != c.told {
					t.Fatalf("after %s: %v", step.statement, err)
				}
				if at, err = found.log.Position(); err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, k := range rows[schema.Table] {
					got = append(got, k.String())
				}
				slices.Sort(got)
				var want []string
				if c.told {
					for _, id := range step.rows {
						want = append(want, fmt.Sprint(id))
					}
				}
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Errorf("after %s: told %v, want %v", step.statement, got, want)
				}
			}
		})
	}
}

// TestWALLogKeys: keys of several columns, and of text, are told as rows have them, the old
// one and the new one. A database with other text has a log that tells nothing.
func TestWALLogKeys(t *testing.T) {
	for _, encoding := range []string{"UTF-8", "UTF-16le"} {
		dsn := "file:" + t.TempDir() + "/test.db?_pragma=busy_timeout(60000)&_pragma=encoding('" + encoding + "')&_pragma=journal_mode(WAL)"
		db, elsewhere := openWrapped(t, dsn), openSQLite(t, dsn)
		exec(t, db, "CREATE TABLE items (n INT, place TEXT, name TEXT, PRIMARY KEY (name, place))", "INSERT INTO items VALUES (1, 'hier', 'Ü'), (2, 'dort', 'b'), (3, 'dort', 'c')")
		schema := driver.Schema{
			Table:   driver.Table{Name: "items"},
			Columns: []driver.Column{{Name: "place", Kind: value.KindText}, {Name: "name", Kind: value.KindText}},
			Key:     []string{"place", "name"},
		}
		l := watch(t, DataVersion(db), schema)
		l.watcher.(logging).logOf([]driver.Schema{schema})
		l.next()
		exec(t, elsewhere, "UPDATE items SET n = 4 WHERE name = 'Ü'", "UPDATE items SET place = 'da' WHERE n = 2")
		rows, err := l.next().log.Changed(t.Context(), []driver.Table{schema.Table}, "")
		if (err == nil) != (encoding == "UTF-8") {
			t.Errorf("%s: %v", encoding, err)
		}
		var want []driver.Key
		for _, parts := range [][]any{{"da", "b"}, {"dort", "b"}, {"hier", "Ü"}} {
			key, err := schema.MakeKey(parts...)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, key)
		}
		if got := rows[schema.Table]; err == nil && !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
	}
}

// TestWALLogGaps: what has no log to tell it is an error, and never left out.
func TestWALLogGaps(t *testing.T) {
	dsn := "file:" + t.TempDir() + "/test.db?_pragma=busy_timeout(60000)&_pragma=journal_mode(WAL)"
	db, elsewhere := openWrapped(t, dsn), openSQLite(t, dsn)
	exec(t, db, "CREATE TABLE items (id INTEGER PRIMARY KEY, n INT)", "INSERT INTO items VALUES (1, 1)")
	schema, unknown := items("items"), driver.Table{Name: "elsewhere"}
	l := watch(t, DataVersion(db), schema)
	l.watcher.(logging).logOf([]driver.Schema{schema})
	l.next()
	exec(t, elsewhere, "UPDATE items SET n = 2")
	log := l.next().log
	if rows, err := log.Changed(t.Context(), []driver.Table{unknown}, ""); err != nil || len(rows) != 0 {
		t.Errorf("of a table that the source is not about: %v, %v", rows, err)
	}
	if _, err := log.Changed(t.Context(), []driver.Table{schema.Table}, "nowhere"); err == nil {
		t.Error("a position that is none is taken")
	}
	exec(t, elsewhere, "UPDATE items SET n = 3", "PRAGMA wal_checkpoint(TRUNCATE)", "UPDATE items SET n = 4")
	if rows, err := log.Changed(t.Context(), []driver.Table{schema.Table}, ""); err == nil {
		t.Errorf("commits that a checkpoint has taken away are told: %v", rows)
	}
	exec(t, elsewhere, "DROP TABLE items", "CREATE TABLE filler (id INTEGER PRIMARY KEY, n INT)", "CREATE TABLE items (id INTEGER PRIMARY KEY, n INT)", "INSERT INTO items VALUES (1, 5)")
	at, err := log.Position()
	if err != nil {
		t.Fatal(err)
	}
	exec(t, elsewhere, "UPDATE items SET n = 6")
	if rows, err := log.Changed(t.Context(), []driver.Table{schema.Table}, at); err != nil || len(rows[schema.Table]) != 1 {
		t.Errorf("of a table that was made anew: %v, %v", rows, err)
	}
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := log.Changed(t.Context(), []driver.Table{schema.Table}, at); err == nil {
		t.Error("a log that nobody reads any more tells something")
	}
}
