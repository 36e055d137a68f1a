package readtables

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
)

// undeclaredTables takes the tables of a plan and the declared ones. A partition
// counts as declared if a table above it is, and is named by the topmost. A table
// that only inherits counts by itself: its changes are reported under its own name.
const undeclaredTables = `
WITH RECURSIVE shown AS (
	SELECT DISTINCT to_regclass(name)::oid AS oid FROM unnest(ARRAY[?]::text[]) AS name),
declared AS (
	SELECT to_regclass(name)::oid AS oid FROM unnest(ARRAY[?]::text[]) AS name),
up(base, oid) AS (
	SELECT oid, oid FROM shown WHERE oid IS NOT NULL
	UNION SELECT up.base, i.inhparent FROM up
	JOIN pg_catalog.pg_class c ON c.oid = up.oid AND c.relispartition
	JOIN pg_catalog.pg_inherits i ON i.inhrelid = up.oid)
SELECT DISTINCT n.nspname, c.relname FROM up
JOIN pg_catalog.pg_class c ON c.oid = up.oid AND NOT c.relispartition
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
	AND NOT EXISTS (SELECT FROM up AS u JOIN declared USING (oid) WHERE u.base = up.base)
ORDER BY 1, 2`

// undeclaredPostgres looks at the plan, in which views are resolved into the
// tables that they read.
func undeclaredPostgres(m *model.Model, ctx context.Context, conn bun.IConn, query string, declared []driver.Table) ([]driver.Table, error) {
	names := make([]string, len(declared))
	for i, t := range declared {
		names[i] = Quoted(m.DB, t)
	}
	gen := m.DB.QueryGen()
	absent := gen.FormatQuery("SELECT name FROM unnest(ARRAY[?]::text[]) AS name WHERE to_regclass(name) IS NULL LIMIT 1", bun.List(names))
	err := scanAll(ctx, conn, absent, func(rows *sql.Rows) error {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		return errNoDependency(name)
	})
	if err != nil {
		return nil, err
	}
	var text []byte
	err = scanAll(ctx, conn, "EXPLAIN (VERBOSE, FORMAT JSON) "+query, func(rows *sql.Rows) error { return rows.Scan(&text) })
	if err != nil {
		return nil, err
	}
	var plan any
	if err := json.Unmarshal(text, &plan); err != nil {
		return nil, fmt.Errorf("reading the plan: %w", err)
	}
	var shown []string
	walkPlan(plan, func(t driver.Table) { shown = append(shown, Quoted(m.DB, t)) })
	var missing []driver.Table
	err = scanAll(ctx, conn, gen.FormatQuery(undeclaredTables, bun.List(shown), bun.List(names)), func(rows *sql.Rows) error {
		var t driver.Table
		err := rows.Scan(&t.Schema, &t.Name)
		missing = append(missing, t)
		return err
	})
	return missing, err
}

// walkPlan calls each with every table that occurs in a plan of EXPLAIN.
func walkPlan(node any, each func(driver.Table)) {
	switch n := node.(type) {
	case []any:
		for _, child := range n {
			walkPlan(child, each)
		}
	case map[string]any:
		if name, ok := n["Relation Name"].(string); ok {
			schema, _ := n["Schema"].(string)
			each(driver.Table{Schema: schema, Name: name})
		}
		for _, child := range n {
			walkPlan(child, each)
		}
	}
}
