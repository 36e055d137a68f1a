package pgsource

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/binderyhq/bindery/core/driver"
)

// shapeOf is the SQL expression for the shape of the relations r of pg_class. The shape
// is a text that differs after each statement that changes rows without a message in the
// log and without firing triggers: statements that alter columns and types, replace a
// table or its file, or redefine views and policies. It reads only the catalogue, and
// so waits for no table locks.
const shapeOf = `md5(string_agg(concat_ws(' ', r.oid, r.relfilenode, r.relkind, r.relrowsecurity, r.relforcerowsecurity,
	(SELECT string_agg(w.ev_action::text, ';' ORDER BY w.rulename) FROM pg_rewrite w WHERE w.ev_class = r.oid), (
	SELECT string_agg(concat_ws(' ', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.atthasdef, a.attcollation, a.attmissingval, t.typnotnull, (
		SELECT string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid IN (t.oid, t.typbasetype, t.typelem))), ';' ORDER BY a.attnum)
	FROM pg_attribute a LEFT JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = r.oid AND a.attnum > 0), (
	SELECT string_agg(p.polname || p.polcmd::text || p.polroles::text || coalesce(p.polqual::text, ''), ';' ORDER BY p.polname)
	FROM pg_policy p WHERE p.polrelid = r.oid)), '|' ORDER BY r.oid))`

// shapesQuery takes an array of table names. Tables that do not exist have no shape.
const shapesQuery = `
SELECT n.nr::text, (
	SELECT ` + shapeOf + ` FROM pg_class r WHERE r.oid IN (
		WITH RECURSIVE below(oid) AS (
			SELECT to_regclass(n.name)::oid
			UNION SELECT i.inhrelid FROM pg_inherits i JOIN below ON i.inhparent = below.oid)
		SELECT oid FROM below))
FROM unnest($1::text[]) WITH ORDINALITY n(name, nr) ORDER BY n.nr`

// shapes are the shapes of tables; "" for one that does not exist.
type shapes map[driver.Table]string

// queryShapes asks for the shapes of the tables.
func queryShapes(ctx context.Context, conn *pgconn.PgConn, schemas []driver.Schema) (shapes, error) {
	names := make([]string, len(schemas))
	for i := range schemas {
		names[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(tableSQL(schemas[i].Table)) + `"`
	}
	rows, err := query(ctx, conn, shapesQuery, "{"+strings.Join(names, ",")+"}")
	if err != nil {
		return nil, fmt.Errorf("asking whether tables were altered: %w", err)
	}
	if len(rows) != len(schemas) {
		return nil, fmt.Errorf("asking whether tables were altered: %d answers for %d tables", len(rows), len(schemas))
	}
	found := make(shapes, len(schemas))
	for i := range schemas {
		found[schemas[i].Table] = rows[i][1]
	}
	return found, nil
}

// shapeWatch remembers the shapes that tables had. It belongs to the goroutine that
// asks.
type shapeWatch struct {
	last shapes
}

// begin remembers the present shapes.
func (w *shapeWatch) begin(ctx context.Context, conn *pgconn.PgConn, schemas []driver.Schema) error {
	found, err := queryShapes(ctx, conn, schemas)
	w.last = found
	return err
}

// next remembers the shapes found, and returns the tables whose shapes differ from
// before, including tables without an earlier shape.
func (w *shapeWatch) next(found shapes, schemas []driver.Schema) (altered []driver.Table) {
	for i := range schemas {
		t := schemas[i].Table
		if before, known := w.last[t]; !known || before != found[t] {
			altered = append(altered, t)
		}
	}
	w.last = found
	return altered
}

// lookAtShapes reports altered tables, and wakes the audit: a table may have been
// replaced by another.
func (se *session) lookAtShapes(ctx context.Context) error {
	schemas, _ := se.sink.Tables()
	if len(schemas) == 0 {
		return nil
	}
	found, err := queryShapes(ctx, se.asking, schemas)
	if err != nil {
		return err
	}
	altered := se.shapes.next(found, schemas)
	if len(altered) == 0 {
		return nil
	}
	list := make([]driver.Change, len(altered))
	for i, t := range altered {
		list[i] = driver.Change{Table: t}
	}
	se.sink.Report(list...)
	signal(se.stream.asks)
	return nil
}
