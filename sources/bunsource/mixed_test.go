package bunsource

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
)

// motley has columns in which SQLite keeps whatever it is given.
type motley struct {
	bun.BaseModel `bun:"table:motley"`
	ID            int64   `bun:",pk" json:"id"`
	Flag          bool    `bun:",notnull" json:"flag"`
	Count         int64   `bun:",notnull" json:"count"`
	Size          float64 `bun:",notnull" json:"size"`
	Word          string  `bun:",notnull" json:"word"`
	Raw           []byte  `bun:",notnull" json:"raw"`
}

const motleyColumns = `(id INTEGER PRIMARY KEY, flag INTEGER NOT NULL, count INTEGER NOT NULL, size REAL NOT NULL, word TEXT NOT NULL, raw BLOB NOT NULL)`

// A column is evaluated in memory only while SQLite holds nothing in it that is of
// another storage class than its type.
func TestStorageClassesDecideExactness(t *testing.T) {
	columns := []string{"flag", "count", "size", "word", "raw"}
	exactIn := func(t *testing.T, db *bun.DB) map[string]bool {
		schema, err := preparedLoader[motley](t, db).Schema()
		if err != nil {
			t.Fatal(err)
		}
		out := make(map[string]bool)
		for _, c := range schema.Columns {
			out[c.Name] = c.Exact&filter.Exact == filter.Exact
		}
		return out
	}
	for column, value := range map[string]string{
		"no column": "", "flag": "'f'", "count": "1.5", "size": "'NaN'", "word": "X'61'", "raw": "'a'",
	} {
		t.Run(column, func(t *testing.T) {
			db := loaderSQLite(t)
			mustExec(t, db, `CREATE TABLE motley `+motleyColumns)
			mustExec(t, db, `INSERT INTO motley VALUES (1, 0, 1, 1, 'a', X'61')`)
			if value != "" {
				mustExec(t, db, `INSERT INTO motley SELECT 2, flag, count, size, word, raw FROM motley`)
				mustExec(t, db, `UPDATE motley SET `+column+` = `+value+` WHERE id = 2`)
			}
			exact := exactIn(t, db)
			for _, c := range columns {
				if exact[c] != (c != column) {
					t.Errorf("with %s in %q, %q counts as exact: %t", value, column, c, exact[c])
				}
			}
		})
	}
	t.Run("strict", func(t *testing.T) {
		db := loaderSQLite(t)
		mustExec(t, db, `CREATE TABLE motley `+motleyColumns+` STRICT`)
		for c, exact := range exactIn(t, db) {
			if !exact {
				t.Errorf("%q of a STRICT table is not exact", c)
			}
		}
	})
}

// louder changes a column when a row has been read.
type louder struct {
	bun.BaseModel `bun:"table:louder"`
	ID            int64  `bun:",pk" json:"id"`
	Word          string `bun:",notnull" json:"word"`
}

func (l *louder) AfterScanRow(context.Context) error { l.Word += "!"; return nil }

// What a model's scan hook makes of a column is not what the database compares.
func TestScanHooksAreNotExact(t *testing.T) {
	for name, open := range map[string]func(testing.TB) *bun.DB{
		"sqlite":   func(t testing.TB) *bun.DB { return loaderSQLite(t) },
		"postgres": func(t testing.TB) *bun.DB { return loaderPostgres(t) },
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t)
			mustExec(t, db, `CREATE TABLE louder (id BIGINT PRIMARY KEY, word TEXT NOT NULL)`)
			mustExec(t, db, `INSERT INTO louder VALUES (1, 'a')`)
			schema, err := preparedLoader[louder](t, db).Schema()
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range schema.Columns {
				if c.Exact != 0 {
					t.Errorf("%q is %s", c.Name, c.Exact)
				}
			}
		})
	}
}

// A value of another storage class that comes after the start is asked of SQLite
// from then on: no binding shows what SQLite would not select.
func TestStorageClassesThatComeLate(t *testing.T) {
	for name, strict := range map[string]string{"loose": "", "strict": " STRICT"} {
		t.Run(name, func(t *testing.T) {
			db := loaderSQLite(t)
			mustExec(t, db, `CREATE TABLE motley `+motleyColumns+strict)
			mustExec(t, db, `INSERT INTO motley VALUES (1, 0, 1, 1, 'a', X'61'), (2, 0, 2, 2, 'b', X'62')`)
			l := preparedLoader[motley](t, db)
			for _, change := range []string{
				`SET flag = 'f'`, `SET count = 1.5`, `SET size = 'NaN'`, `SET word = X'61'`, `SET raw = 'a'`,
			} {
				before, err := l.Schema()
				if err != nil {
					t.Fatal(err)
				}
				if _, err := db.ExecContext(t.Context(), `UPDATE motley `+change+` WHERE id = 2`); strict != "" {
					if err == nil {
						t.Fatalf("a STRICT table takes %s", change)
					}
					continue
				}
				column := strings.Fields(change)[1]
				if before.Columns[before.Column(column)].Exact == 0 {
					t.Fatalf("%q is not exact before %s", column, change)
				}
				for _, q := range []driver.Query{{Keys: []driver.Key{driver.KeyOf(2)}}, {}, {Limit: 2, Order: []driver.Order{{Column: "id", Desc: true}}}} {
					if _, err := l.Query(t.Context(), q); !errors.Is(err, driver.ErrSchemaChanged) {
						t.Errorf("after %s, reading says %v", change, err)
					}
				}
				if _, err := l.Query(t.Context(), driver.Query{Keys: []driver.Key{driver.KeyOf(1)}}); err != nil {
					t.Errorf("the other row cannot be read: %v", err)
				}
				if err := l.Scan(t.Context(), driver.Query{}, 1, func([]*motley) error { return nil }); !errors.Is(err, driver.ErrSchemaChanged) {
					t.Errorf("after %s, reading in pieces says %v", change, err)
				}
				mustExec(t, db, `DELETE FROM motley WHERE id = 2`)
				mustExec(t, db, `INSERT INTO motley VALUES (2, 0, 2, 2, 'b', X'62')`)
				if _, err := l.Prepare(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
				if s, _ := l.Schema(); s.Columns[s.Column(column)].Exact != 0 {
					t.Errorf("%q is exact again, though such values come and go", column)
				}
			}
		})
	}
}
