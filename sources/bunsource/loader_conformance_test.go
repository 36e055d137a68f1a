package bunsource

import (
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/sources/sourcetest/loadertest"
)

// suiteRow is the row of the loaders' suite: a key of two columns, and a column
// that a database can fill with what Go's type does not hold.
type suiteRow struct {
	bun.BaseModel `bun:"table:suite_rows"`

	Shelf string    `bun:"shelf,pk"`
	Nr    int64     `bun:"nr,pk"`
	Name  string    `bun:"name,notnull"`
	At    time.Time `bun:"at,notnull,type:timestamp"`
}

// TestLoaderConformance holds the loader to what all loaders promise.
func TestLoaderConformance(t *testing.T) {
	open := map[string]func(*testing.T) *bun.DB{
		"sqlite":   func(t *testing.T) *bun.DB { return loaderSQLite(t, walMode) },
		"postgres": func(t *testing.T) *bun.DB { return loaderPostgres(t) },
	}
	for name, open := range open {
		t.Run(name, func(t *testing.T) {
			open(t) // starts the server, if there is one, before the time of a case counts
			loadertest.Run(t, func(t *testing.T) loadertest.Harness[suiteRow] {
				db := open(t)
				at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
				rows := []suiteRow{
					{Shelf: "a", Nr: 1, Name: "one", At: at},
					{Shelf: "a", Nr: 2, Name: "two", At: at},
					{Shelf: "b", Nr: -1, Name: "", At: at},
					{Shelf: "B", Nr: 1, Name: "näme", At: at},
				}
				createTable(t, db, rows...)
				far := "'infinity'"
				if db.Dialect().Name() == dialect.SQLite {
					far = "'10001-01-01 00:00:00'"
				}
				return loadertest.Harness[suiteRow]{
					Loader: NewLoader[suiteRow](db), Rows: rows, Absent: suiteRow{Shelf: "c", Nr: 1},
					Change: func(t *testing.T, row suiteRow) suiteRow {
						row.Name += " changed"
						mustExec(t, db, "UPDATE suite_rows SET name = ? WHERE shelf = ? AND nr = ?", row.Name, row.Shelf, row.Nr)
						return row
					},
					Damage: func(t *testing.T, row suiteRow) {
						mustExec(t, db, "UPDATE suite_rows SET at = "+far+" WHERE shelf = ? AND nr = ?", row.Shelf, row.Nr)
					},
				}
			})
		})
	}
}
