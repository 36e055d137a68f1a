package bunsource

import (
	"context"
	"database/sql"

	"github.com/uptrace/bun"
)

const mysqlColumns = `
SELECT column_name, column_type, is_nullable = 'NO',
       column_default IS NOT NULL OR extra LIKE '%auto_increment%', extra LIKE '%GENERATED' AND extra NOT LIKE 'DEFAULT%',
       extra LIKE '%GENERATED' AND extra NOT LIKE 'DEFAULT%' OR extra LIKE '%on update%', collation_name
FROM information_schema.columns
WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ?
ORDER BY ordinal_position`

func (m *model) mysqlColumnsQuery() string {
	var schema any // NULL: the connection's
	if s := m.schema.Table.Schema; s != "" {
		schema = s
	}
	return m.db.QueryGen().FormatQuery(mysqlColumns, schema, m.schema.Table.Name)
}

func (m *model) inspectMySQL(ctx context.Context, conn bun.IConn) ([]tableColumn, error) {
	return readColumns(ctx, conn, m.mysqlColumnsQuery(), func(scan func(...any) error) (tableColumn, error) {
		c := tableColumn{state: columnState{columnFacts: columnFacts{Known: true, Deterministic: true}}}
		var collation sql.NullString
		err := scan(&c.name, &c.state.SQLType, &c.state.NotNull, &c.state.Default, &c.state.Generated, &c.state.Computed, &collation)
		c.state.Collation = collation.String
		return c, err
	})
}
