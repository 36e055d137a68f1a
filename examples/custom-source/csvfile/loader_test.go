package csvfile

import (
	"testing"

	"github.com/binderyhq/bindery/sources/sourcetest/loadertest"
)

// TestLoader holds the table to what all loaders promise.
func TestLoader(t *testing.T) {
	loadertest.Run(t, func(t *testing.T) loadertest.Harness[Item] {
		h, err := newHarness(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		rows := []Item{{SKU: "a-1", Name: "one", Cents: 100}, {SKU: "a-2", Name: `"two"`, Stock: 3}, {SKU: "b,1", Name: "näme"}}
		save := func(t *testing.T) {
			t.Helper()
			var items []*Item
			for _, row := range rows {
				items = append(items, &row)
			}
			if err := h.save(items); err != nil {
				t.Fatal(err)
			}
		}
		save(t)
		return loadertest.Harness[Item]{
			Loader: h.table, Rows: append([]Item(nil), rows...), Absent: Item{SKU: "c"},
			Change: func(t *testing.T, row Item) Item {
				row.Stock++
				for i := range rows {
					if rows[i].SKU == row.SKU {
						rows[i] = row
					}
				}
				save(t)
				return row
			},
		}
	})
}
