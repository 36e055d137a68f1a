package readtables

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
)

// undeclaredSQLite looks at the program that SQLite compiles the query to: it
// opens each table, or an index of it, by database and root page. Virtual
// tables are opened in another way and do not show.
func undeclaredSQLite(m *model.Model, ctx context.Context, conn bun.IConn, query string, declared []driver.Table) ([]driver.Table, error) {
	if err := checkDeclaredSQLite(m, ctx, conn, declared); err != nil {
		return nil, err
	}
	pages := map[int][]int64{} // by the number of the database
	err := scanAll(ctx, conn, "EXPLAIN "+query, func(rows *sql.Rows) error {
		var op string
		var page, database int64
		var addr, p1, p4, p5, comment any
		if err := rows.Scan(&addr, &op, &p1, &page, &database, &p4, &p5, &comment); err != nil {
			return err
		}
		// Page 1 is that of the schema itself.
		if (op == "OpenRead" || op == "ReopenIdx") && page > 1 {
			pages[int(database)] = append(pages[int(database)], page)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	names := map[int]string{}
	err = scanAll(ctx, conn, "SELECT seq, name FROM pragma_database_list", func(rows *sql.Rows) error {
		var seq int
		var name string
		err := rows.Scan(&seq, &name)
		names[seq] = name
		return err
	})
	if err != nil {
		return nil, err
	}
	var missing []driver.Table
	for seq, roots := range pages {
		t := driver.Table{Schema: names[seq]}
		list := strings.Trim(strings.ReplaceAll(fmt.Sprint(roots), " ", ","), "[]")
		query := "SELECT DISTINCT tbl_name FROM " + Quoted(m.DB, driver.Table{Schema: t.Schema, Name: "sqlite_master"}) + " WHERE rootpage IN (" + list + ")"
		err := scanAll(ctx, conn, query, func(rows *sql.Rows) error {
			if err := rows.Scan(&t.Name); err != nil {
				return err
			}
			if !declares(declared, t) {
				found := t
				if found.Schema == "main" {
					found.Schema = "" // as people write it
				}
				missing = append(missing, found)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(missing, func(a, b driver.Table) int { return cmp.Compare(a.String(), b.String()) })
	return missing, nil
}

func checkDeclaredSQLite(m *model.Model, ctx context.Context, conn bun.IConn, declared []driver.Table) error {
	var known []driver.Table
	err := scanAll(ctx, conn, "SELECT schema, name FROM pragma_table_list", func(rows *sql.Rows) error {
		var t driver.Table
		err := rows.Scan(&t.Schema, &t.Name)
		known = append(known, t)
		return err
	})
	if err != nil {
		return err
	}
	for _, d := range declared {
		if !slices.ContainsFunc(known, func(t driver.Table) bool { return declares([]driver.Table{d}, t) }) {
			return errNoDependency(d.String())
		}
	}
	return nil
}
