package sqlitesource_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/binderyhq/bindery/core/driver"
	"pgregory.net/rapid"
)

// TestFollowerNeverFallsBehind runs random statements in random transactions on
// several connections. Whenever no call of the driver is under way, whoever has
// read what was reported, when it was reported, holds what the database does.
func TestFollowerNeverFallsBehind(t *testing.T) {
	r := newRig(t, quiet, shop, shopSchemas()...)
	ctx := context.Background()
	var conns [2]*sql.Conn
	for i := range conns {
		var err error
		if conns[i], err = r.db.Conn(ctx); err != nil {
			t.Fatal(err)
		}
		defer conns[i].Close()
	}
	rapid.Check(t, func(rt *rapid.T) {
		for _, table := range []string{"items", "pairs", "parents", "children", "late", "bits"} {
			r.exec("DELETE FROM " + table)
		}
		var tx *sql.Tx
		defer func() { // also when the check fails: connections wait for it
			if tx != nil {
				_ = tx.Rollback()
			}
		}()
		id := rapid.IntRange(1, 6)
		word := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		or := rapid.SampledFrom([]string{"", "OR REPLACE ", "OR IGNORE ", "OR ROLLBACK ", "OR FAIL "})
		statement := func() string {
			a, b, w, c := id.Draw(rt, "a"), id.Draw(rt, "b"), word.Draw(rt, "w"), or.Draw(rt, "or")
			return rapid.SampledFrom([]string{
				fmt.Sprintf("INSERT %sINTO items VALUES (%d, '%s', 1), (%d, '%s%d', 2)", c, a, w, b, w, a),
				fmt.Sprintf("UPDATE %sitems SET id = id + %d, code = '%s' WHERE id > %d", c, a, w, b),
				fmt.Sprintf("UPDATE items SET n = n + 1 WHERE n < %d", a),
				fmt.Sprintf("INSERT INTO items VALUES (%d, '%s', 1) ON CONFLICT (code) DO UPDATE SET id = %d", a, w, b),
				fmt.Sprintf("DELETE FROM items WHERE id >= %d", a),
				"DELETE FROM items",
				fmt.Sprintf("INSERT %sINTO pairs VALUES (1, '%s', %d)", c, w, a),
				fmt.Sprintf("UPDATE %spairs SET a = a + %d", c, a),
				fmt.Sprintf("INSERT %sINTO parents VALUES (%d)", c, a),
				fmt.Sprintf("DELETE FROM parents WHERE id < %d", a),
				fmt.Sprintf("INSERT %sINTO late (v, k) VALUES (%d, '%s')", c, a, w),
				fmt.Sprintf("UPDATE %slate SET k = '%s' WHERE v < %d", c, w, a),
				fmt.Sprintf("INSERT %sINTO bits VALUES (x'0%d', 1)", c, a),
				fmt.Sprintf("CREATE TABLE IF NOT EXISTS t%d (id)", a),
				fmt.Sprintf("DROP TABLE IF EXISTS t%d", a),
				"SELECT * FROM items",
			}).Draw(rt, "statement")
		}
		var on interface {
			execer
			QueryContext(context.Context, string, ...any) (*sql.Rows, error)
		}
		run := func(text string) {
			// A statement may fail, for a constraint. It may then have ended the
			// transaction, or have made a part of its changes.
			if rapid.Bool().Draw(rt, "as a query") {
				if rows, err := on.QueryContext(ctx, text); err == nil {
					rows.Next()
					_ = rows.Close()
				}
				return
			}
			_, _ = on.ExecContext(ctx, text)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"statement": func(*rapid.T) {
				if on = conns[id.Draw(rt, "connection")%2]; tx != nil {
					on = tx
				}
				run(statement())
			},
			"returning": func(rt *rapid.T) {
				if on = r.db; tx != nil {
					on = tx
				}
				run(fmt.Sprintf("UPDATE items SET n = n + 1 WHERE id > %d RETURNING id", id.Draw(rt, "id")))
			},
			"script": func(rt *rapid.T) {
				if tx != nil {
					rt.Skip("a transaction is open")
				}
				on = conns[0]
				end := rapid.SampledFrom([]string{"COMMIT", "ROLLBACK"}).Draw(rt, "end")
				run(statement() + "; BEGIN; " + statement() + "; SAVEPOINT s; " + statement() + "; ROLLBACK TO s; " + statement() + "; " + end + "; " + statement())
				_, _ = on.ExecContext(ctx, "ROLLBACK") // a script that failed has left it open
			},
			"begin": func(rt *rapid.T) {
				if tx != nil {
					rt.Skip("a transaction is open")
				}
				var err error
				if tx, err = conns[id.Draw(rt, "connection")%2].BeginTx(ctx, nil); err != nil {
					rt.Fatal(err)
				}
			},
			"commit": func(rt *rapid.T) {
				if tx != nil {
					_ = tx.Commit() // OR ROLLBACK may have ended it
					tx = nil
				}
			},
			"rollback": func(rt *rapid.T) {
				if tx != nil {
					_ = tx.Rollback()
					tx = nil
				}
			},
			"somebody else": func(rt *rapid.T) {
				if tx != nil {
					rt.Skip("a transaction is open")
				}
				_, _ = r.plain.ExecContext(ctx, statement())
				r.follow([]driver.Change{{}})
			},
			"": func(rt *rapid.T) {
				if b := r.behind(); b != "" {
					rt.Fatal(b)
				}
				if rec := r.sink.Record(); rec.Open != 0 {
					rt.Fatalf("%d announcements are open", rec.Open)
				}
			},
		})
	})
}
