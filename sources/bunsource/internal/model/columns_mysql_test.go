package model

import (
	"strings"
	"testing"

	"github.com/uptrace/bun/dialect/mysqldialect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/sourcetest/buntest"
)

func TestPrepareQueryForMySQL(t *testing.T) {
	for table, want := range map[string]string{
		"items":       "table_schema = COALESCE(NULL, DATABASE()) AND table_name = 'items'",
		"stock.items": "table_schema = COALESCE('stock', DATABASE()) AND table_name = 'items'",
	} {
		m := &Model{DB: buntest.Offline(t, mysqldialect.New())}
		m.Schema.Table.Schema, m.Schema.Table.Name, _ = strings.Cut(table, ".")
		if m.Schema.Table.Name == "" {
			m.Schema.Table = driver.Table{Name: table}
		}
		if got := m.MySQLColumnsQuery(); !strings.Contains(got, want) {
			t.Errorf("%s: %s", table, got)
		}
	}
}
