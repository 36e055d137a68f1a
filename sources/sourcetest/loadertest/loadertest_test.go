package loadertest_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/sources/sourcetest/loadertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type item struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

func TestTableInMemory(t *testing.T) {
	loadertest.Run(t, func(*testing.T) loadertest.Harness[item] {
		table := coretest.NewTable[item]("items", "id")
		rows := []item{{1, "one"}, {2, "two"}, {3, "three"}, {-4, ""}}
		table.Put(rows...)
		return loadertest.Harness[item]{Loader: table, Rows: rows, Absent: item{ID: 9}, Change: func(_ *testing.T, row item) item {
			row.Name += " changed"
			table.Put(row)
			return row
		}}
	})
}
