package model

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/sources/bunsource/internal/exact"
)

// postgresColumns asks for columns as the catalogue has them. Types are spelled
// as format_type does, domains as the type that they restrict. A collation is
// named by the C library's locale where that sorts ("C", "en_US.utf8"), so that
// the database's default shows under the locale's name. Some columns of the
// catalogue exist only since Postgres 12 or 15: reading them through JSON makes
// them NULL in earlier versions.
const postgresColumns = `
SELECT a.attname,
       CASE t.typtype WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod)
                      ELSE format_type(a.atttypid, a.atttypmod) END,
       a.attnotnull OR t.typnotnull,
       a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL,
       coalesce(to_jsonb(a)->>'attgenerated', '') <> '' OR a.attidentity = 'a',
       coalesce(to_jsonb(a)->>'attgenerated', '') <> '',
       CASE WHEN co.oid IS NULL THEN ''
            WHEN co.collprovider = 'd' AND coalesce(to_jsonb(d)->>'datlocprovider', 'c') = 'c' THEN d.datcollate::text
            WHEN co.collprovider = 'c' THEN co.collcollate::text
            ELSE co.collname::text END,
       coalesce((to_jsonb(co)->>'collisdeterministic')::boolean, true)
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation
CROSS JOIN (SELECT * FROM pg_catalog.pg_database WHERE datname = current_database()) d
WHERE a.attrelid = to_regclass(?) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum`

func (m *Model) inspectPostgres(ctx context.Context, conn bun.IConn) ([]TableColumn, error) {
	query := m.DB.QueryGen().FormatQuery(postgresColumns, string(m.Table.SQLName))
	return readColumns(ctx, conn, query, func(scan func(...any) error) (TableColumn, error) {
		c := TableColumn{State: State{Facts: exact.Facts{Known: true}}}
		err := scan(&c.Name, &c.State.SQLType, &c.State.NotNull, &c.State.Default, &c.State.Generated, &c.State.Computed, &c.State.Collation, &c.State.Deterministic)
		return c, err
	})
}
