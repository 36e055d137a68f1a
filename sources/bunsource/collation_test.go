package bunsource

import (
	"fmt"
	"slices"
	"testing"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
)

// TestCollatedRowsComeInOrder: also where what they show takes a statement of
// its own, and several for many rows.
func TestCollatedRowsComeInOrder(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		library(t, db)
		const n = model.MaxParents + 3
		mustExec(t, db, `INSERT INTO albums (id, title) WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM s WHERE n < ?) SELECT n, 'x' FROM s`, n)
		mustExec(t, db, `UPDATE albums SET title = 'y' WHERE id % 2 = 0`)
		order := []driver.Order{{Column: "title", Desc: true, Collation: driver.ColumnCollation}, {Column: "id", Desc: true}}
		var want []int64
		for _, rest := range []int64{0, 1} { // the even ones are called y
			for id := int64(n); id > 0; id-- {
				if id%2 == rest {
					want = append(want, id)
				}
			}
		}
		for _, names := range [][]string{nil, {"Tracks"}, {"Cover", "Tracks"}} {
			for _, limit := range []int{0, 5} {
				t.Run(fmt.Sprint(names, limit), func(t *testing.T) {
					l := preparedLoader[relAlbum](t, db)
					if names != nil {
						l = related[relAlbum](t, db, names...)
					}
					rows, err := l.Query(t.Context(), driver.Query{Order: order, Limit: limit})
					if err != nil {
						t.Fatal(err)
					}
					var got []int64
					for _, r := range rows {
						got = append(got, r.ID)
					}
					want := want
					if limit > 0 {
						want = want[:limit]
					}
					if !slices.Equal(got, want) {
						t.Errorf("got %d rows, %v…, want %d, %v…", len(got), got[:min(5, len(got))], len(want), want[:5])
					}
				})
			}
		}
	})
}

// TestCollationsThatCannotBe are errors that say what to do.
func TestCollationsThatCannotBe(t *testing.T) {
	db := loaderSQLite(t)
	createTable[sortable](t, db)
	for column, says := range map[string]string{
		"word": `ordering by column "word" under its own collation: its field does not tell NULL from "": declare it NOT NULL, use a pointer, or name the collation`,
		"int":  `ordering by column "int" of type "INTEGER" under a collation: it holds no text`,
	} {
		_, err := preparedLoader[sortable](t, db).Query(t.Context(), driver.Query{Order: []driver.Order{{Column: column, Collation: driver.ColumnCollation}, {Column: "id"}}})
		if want := `bunsource: reading table "sortable": ` + says; err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", column, err, want)
		}
	}
}
