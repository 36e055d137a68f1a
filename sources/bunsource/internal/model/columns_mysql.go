package model

import (
	"context"
	"database/sql"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/sources/bunsource/internal/exact"
)

const mysqlColumns = `
SELECT column_name, column_type, is_nullable = 'NO',
       column_default IS NOT NULL OR extra LIKE '%auto_increment%', extra LIKE '%GENERATED' AND extra NOT LIKE 'DEFAULT%',
       extra LIKE '%GENERATED' AND extra NOT LIKE 'DEFAULT%' OR extra LIKE '%on update%', collation_name
FROM information_schema.columns
WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ?
ORDER BY ordinal_position`

func (m *Model) MySQLColumnsQuery() string {
	var schema any // NULL: the connection's
	if s := m.Schema.Table.Schema; s != "" {
		schema = s
	}
	return m.DB.QueryGen().FormatQuery(mysqlColumns, schema, m.Schema.Table.Name)
}

func (m *Model) inspectMySQL(ctx context.Context, conn bun.IConn) ([]TableColumn, error) {
	return readColumns(ctx, conn, m.MySQLColumnsQuery(), func(scan func(...any) error) (TableColumn, error) {
		c := TableColumn{State: State{Facts: exact.Facts{Known: true, Deterministic: true}}}
		var collation sql.NullString
		err := scan(&c.Name, &c.State.SQLType, &c.State.NotNull, &c.State.Default, &c.State.Generated, &c.State.Computed, &collation)
		c.State.Collation = collation.String
		return c, err
	})
}
