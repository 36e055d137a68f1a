package pollsource

import (
	"fmt"
	"slices"
	"testing"

	"github.com/binderyhq/bindery/core/driver"
)

// TestHints: in WAL mode a look tells the rows that another process has changed, of
// tables whose key is the number of the row, and has everything compared as well.
func TestHints(t *testing.T) {
	for _, c := range []struct {
		mode, key string
		told      bool
	}{
		{"WAL", "INTEGER PRIMARY KEY", true},
		{"WAL", "INT PRIMARY KEY", false},
		{"WAL", "INTEGER PRIMARY KEY DESC", false},
		{"DELETE", "INTEGER PRIMARY KEY", false},
	} {
		t.Run(c.mode+" "+c.key, func(t *testing.T) {
			dsn := "file:" + t.TempDir() + "/test.db?_pragma=busy_timeout(60000)&_pragma=journal_mode(" + c.mode + ")"
			db, elsewhere := openWrapped(t, dsn), openSQLite(t, dsn)
			exec(t, db, `CREATE TABLE items (id `+c.key+`, n INT)`)
			exec(t, db, `WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s LIMIT 3000) INSERT INTO items SELECT i, i FROM s`)
			schema := items("items")
			l := watch(t, DataVersion(db), schema)
			l.watcher.(hinting).hintAt([]driver.Schema{schema})
			l.next()
			for _, step := range []struct {
				statement string
				rows      []int64
			}{
				{"UPDATE items SET n = 0 WHERE id = 7", []int64{7}},
				{"DELETE FROM items WHERE id IN (8, 2999)", []int64{8, 2999}},
				{"INSERT INTO items VALUES (8, 1), (5000, 1)", []int64{8, 5000}},
				{"UPDATE items SET id = 6000 WHERE id = 9", []int64{9, 6000}},
			} {
				exec(t, elsewhere, step.statement)
				found := l.next()
				if !found.whole || !found.changed {
					t.Fatalf("after %s: %+v", step.statement, found)
				}
				var got []string
				for _, k := range found.hints[schema.Table] {
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
