package bunsource

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/sources/bunsource/internal/keyproof"
)

// hookCase is one kind of write.
type hookCase struct {
	name string
	run  func(t *testing.T, ctx context.Context, db *bun.DB)
	// keys is how many keys the wrapper reports. anyWhole: a whole table, or
	// more. The hook alone may report more.
	keys        int
	wrapperOnly bool // the hook cannot see it
	late        bool // the hook cannot see when it is committed
	only        dialect.Name
}

const anyWhole = -1

var errRefused = errors.New("refused")

func exec(t *testing.T, q interface {
	Exec(ctx context.Context, dest ...any) (sql.Result, error)
},
) sql.Result {
	t.Helper()
	res, err := q.Exec(context.Background())
	must(t, q, err)
	return res
}

func rawExec(t *testing.T, db bun.IConn, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(context.Background(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

var hookCases = []hookCase{
	{name: "insert one", keys: 1, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewInsert().Model(&hookItem{Name: "new"}))
	}},
	{name: "insert one with its key", keys: 1, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewInsert().Model(&hookItem{ID: 77, Name: "new"}))
	}},
	{name: "insert many", keys: 3, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewInsert().Model(&[]*hookItem{{Name: "a"}, {Name: "b"}, {Name: "c"}}))
	}},
	{name: "insert many, some with keys", keys: 2, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewInsert().Model(&[]hookItem{{Name: "a"}, {ID: 55, Name: "b"}}))
	}},
	{name: "insert into a variable", keys: 1, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		var id int64
		_, err := db.NewInsert().Model(&hookItem{Name: "new"}).Returning("id").Exec(ctx, &id)
		must(t, id, err)
	}},
	{name: "insert with an expression for the key", keys: 1, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewInsert().Model(&hookItem{ID: 3, Name: "new"}).Value("id", "40 + 2"))
	}},
	{name: "insert without an answer", keys: anyWhole, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewInsert().Model(&hookItem{ID: 3, Name: "new"}).Value("id", "40 + 2").Returning("NULL"))
	}},
	{name: "raw insert", keys: 1, only: dialect.SQLite, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		rawExec(t, db, "INSERT INTO items (name, price) VALUES ('new', 1)")
	}},
	{name: "raw insert of NULL", keys: 1, only: dialect.SQLite, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		rawExec(t, db, "INSERT INTO items (name, id, price) VALUES (upper('new, it is'), NULL, 1)")
	}},
	{name: "raw insert from a select", keys: anyWhole, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		rawExec(t, db, "INSERT INTO items (id, name, price) SELECT 93, 'x', 1")
	}},
	{name: "insert a map", keys: 1, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		row := map[string]any{"id": 91, "name": "map", "price": 1}
		exec(t, db.NewInsert().Model(&row).TableExpr("items"))
	}},
	{name: "insert with a composite key", keys: 2, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewInsert().Model(&[]hookPair{{A: 9, B: "it's"}, {A: 9, B: "ü"}}))
	}},
	{name: "insert into a schema", keys: 1, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewInsert().Model(&hookPerson{Code: "o'neil"}))
	}},
	{name: "insert into another table", keys: 0, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		row := map[string]any{"id": 1, "n": 1}
		exec(t, db.NewInsert().Model(&row).TableExpr("plain"))
	}},
	{name: "insert from a select", keys: anyWhole, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		rawExec(t, db, `INSERT INTO "Pairs" (a, b, n) SELECT 50, name, price FROM items`)
	}},
	{name: "insert from a query", keys: 10, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		var codes []string
		q := db.NewInsert().Model((*hookPerson)(nil)).Column("code", "age").
			TableExpr("(SELECT name AS code, price AS age FROM items) AS x").Returning("code")
		must(t, q, q.Scan(ctx, &codes))
	}},
	{name: "failing insert", keys: anyWhole, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		if _, err := db.NewInsert().Model(&hookItem{ID: 1, Name: "again"}).Exec(ctx); err == nil {
			t.Error("a second row with the same key was inserted")
		}
	}},
	{name: "upsert by key", keys: 2, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewInsert().Model(&[]hookItem{{ID: 1, Name: "upserted"}, {ID: 71, Name: "inserted"}}).
			On("CONFLICT (id) DO UPDATE").Set("name = EXCLUDED.name"))
	}},
	{name: "upsert by another column", keys: 1, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		email := "e4@example.com"
		exec(t, db.NewInsert().Model(&hookItem{Email: &email, Name: "upserted"}).On("CONFLICT (email) DO UPDATE").Set("name = EXCLUDED.name"))
	}},
	{name: "upsert by another column beside a key", keys: anyWhole, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		email := "e4@example.com"
		exec(t, db.NewInsert().Model(&hookItem{ID: 99, Email: &email, Name: "upserted"}).
			On("CONFLICT (email) DO UPDATE").Set("name = EXCLUDED.name"))
	}},
	{name: "upsert that changes the key", keys: anyWhole, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewInsert().Model(&hookItem{ID: 4, Name: "x"}).On("CONFLICT (id) DO UPDATE").Set("id = 400").Returning("id"))
	}},
	{name: "conflict that does nothing", keys: 0, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		email := "e4@example.com"
		_, err := db.NewInsert().Model(&hookItem{Email: &email, Name: "x"}).On("CONFLICT DO NOTHING").Exec(ctx)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			t.Error(err)
		}
	}},
	{name: "replace", keys: anyWhole, only: dialect.SQLite, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		rawExec(t, db, `INSERT OR REPLACE INTO items (id, name, email, price) VALUES (3, 'x', 'e7@example.com', 1)`)
	}},
	{name: "update by key", keys: 1, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewUpdate().Model(&hookItem{ID: 2, Name: "updated"}).WherePK())
	}},
	{name: "update some columns", keys: 1, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewUpdate().Model(&hookItem{ID: 2, Name: "updated"}).Column("name").WherePK().Where("price < 1000"))
	}},
	{name: "update of nothing", keys: 0, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewUpdate().Model(&hookItem{ID: 2000, Name: "updated"}).WherePK())
	}},
	{name: "update by a condition, with a model", keys: anyWhole, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewUpdate().Model(&hookItem{ID: 2, Name: "updated"}).Set("name = 'cheap'").Where("price < ?", 30))
	}},
	{name: "update by key or a condition", keys: anyWhole, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewUpdate().Model((*hookItem)(nil)).Set("name = 'x'").Where("id = ?", 1).WhereOr("price > 70"))
	}},
	{name: "update by a condition on the key", keys: 3, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewUpdate().Model((*hookItem)(nil)).Set("name = 'x'").Where("id IN (?)", bun.List([]int64{1, 2, 3})))
	}},
	{name: "update a slice", keys: 2, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewUpdate().Model(&[]hookItem{{ID: 1}, {ID: 5}}).Set("name = 'x'").WherePK())
	}},
	{name: "bulk update", keys: 2, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewUpdate().Model(&[]hookItem{{ID: 1, Name: "one"}, {ID: 5, Name: "five"}}).Column("name").Bulk())
	}},
	{name: "bulk update with a composite key", keys: 2, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewUpdate().Model(&[]hookPair{{A: 1, B: "x", N: 100}, {A: 2, B: "y", N: 200}}).Bulk())
	}},
	{name: "update with a composite key", keys: 1, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewUpdate().Model(&hookPair{A: 1, B: "x", N: 100}).WherePK())
	}},
	{name: "update by part of the key", keys: anyWhole, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewUpdate().Model(&hookPair{A: 1, B: "x"}).Set("n = 100").WherePK("a"))
	}},
	{name: "update of the key", keys: 2, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewUpdate().Model((*hookItem)(nil)).Set("id = ?", 333).Set("name = 'moved'").Where("id = ?", 3))
	}},
	{name: "update of the key by an expression", keys: anyWhole, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewUpdate().Model(&hookItem{}).Set("id = id + 1000").Where("id = ?", 3).Returning("id"))
	}},
	{name: "update with an answer", keys: 3, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		var items []hookItem
		_, err := db.NewUpdate().Model(&items).Set("name = 'cheap'").Where("price < ?", 30).Returning("*").Exec(ctx)
		must(t, items, err)
	}},
	{name: "update from another table", keys: anyWhole, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewUpdate().Model((*hookItem)(nil)).TableExpr("main.people AS p").Set("name = p.code").Where("p.age = i.price"))
	}},
	{name: "update of a model under another name", keys: 1, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewUpdate().Model(&hookPair{A: 1, B: "x"}).ModelTableExpr("main.people AS p").Set("age = 1").Where("code = 'ann'"))
	}},
	{name: "update in a schema", keys: 1, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewUpdate().Model(&hookPerson{Code: "bob's", Age: 1}).WherePK())
	}},
	{name: "delete by key", keys: 1, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewDelete().Model(&hookPair{A: 0, B: "y"}).WherePK())
	}},
	{name: "delete a slice with composite keys", keys: 2, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewDelete().Model(&[]hookPair{{A: 0, B: "y"}, {A: 1, B: "x"}}).WherePK())
	}},
	{name: "delete by a condition", keys: anyWhole, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewDelete().Model((*hookPerson)(nil)).Where("age > 35"))
	}},
	{name: "delete with an answer", keys: 2, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		var people []hookPerson
		_, err := db.NewDelete().Model(&people).Where("age > 35").Returning("code").Exec(ctx)
		must(t, people, err)
	}},
	{name: "soft delete", keys: 1, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewDelete().Model(&hookItem{ID: 6}).WherePK())
	}},
	{name: "restore", keys: 2, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewDelete().Model(&hookItem{ID: 6}).WherePK())
		exec(t, db.NewUpdate().Model(&hookItem{ID: 6}).Set("deleted_at = NULL").WherePK().WhereDeleted())
	}},
	{name: "force delete", keys: 1, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewDelete().Model(&hookItem{ID: 6}).WherePK().ForceDelete())
	}},
	{name: "truncate", keys: anyWhole, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewTruncateTable().Model((*hookPair)(nil)))
	}},
	{name: "raw", keys: anyWhole, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewRaw("UPDATE /* all */ items SET price = price + ?", 1))
	}},
	{name: "raw by key", keys: 1, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewRaw("UPDATE items SET price = price + ? WHERE id = ? -- one\n", 1, 4))
	}},
	{name: "raw scanned", keys: 1, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		var id int64
		must(t, id, db.NewRaw("UPDATE items SET price = 5 WHERE id = 4 RETURNING id").Scan(ctx, &id))
	}},
	{name: "exec", keys: anyWhole, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		rawExec(t, db, "delete from items where price > 50")
	}},
	{name: "common table expression", keys: anyWhole, only: dialect.PG, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		rawExec(t, db, `WITH gone AS (DELETE FROM items WHERE id = 4 RETURNING *) INSERT INTO "main".people SELECT name, price FROM gone`)
	}},
	{name: "select that deletes", keys: 1, only: dialect.PG, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		var n int
		err := db.NewSelect().With("gone", db.NewDelete().Model(&hookPair{A: 0, B: "x"}).WherePK().Returning("*")).
			TableExpr("gone").ColumnExpr("count(*)").Scan(ctx, &n)
		must(t, n, err)
	}},
	{name: "merge", keys: anyWhole, only: dialect.PG, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		exec(t, db.NewMerge().Model((*hookItem)(nil)).Using("main.people AS p").On("i.price = p.age").
			WhenUpdate("MATCHED", func(q *bun.UpdateQuery) *bun.UpdateQuery { return q.Set("name = p.code") }))
	}},
	{name: "do", keys: anyWhole, only: dialect.PG, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		rawExec(t, db, `DO $$ BEGIN UPDATE items SET price = 1; END $$`)
	}},
	{name: "several statements", keys: anyWhole, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		rawExec(t, db, `UPDATE items SET price = 1 WHERE id = 1; DELETE FROM "main"."people"`)
	}},
	{name: "transaction in one text", keys: anyWhole, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		rawExec(t, db, `BEGIN; UPDATE items SET price = 1 WHERE id = 1; DELETE FROM "main"."people"; COMMIT`)
	}},
	{name: "query", keys: 1, late: true, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		rows, err := db.Query("INSERT INTO items (name, price) VALUES ('q', 1) RETURNING id, name")
		must(t, rows, err)
		for rows.Next() {
		}
		must(t, rows, rows.Close())
	}},
	{name: "query closed early", keys: anyWhole, late: true, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		rows, err := db.Query("UPDATE items SET price = 1 RETURNING id")
		must(t, rows, err)
		rows.Next()
		must(t, rows, rows.Close())
	}},
	{name: "query row", keys: 1, late: true, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		var id int64
		must(t, id, db.QueryRow("INSERT INTO items (name, price) VALUES ('q', 1) RETURNING id").Scan(&id))
	}},
	{name: "prepared", keys: 3, wrapperOnly: true, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		query := "UPDATE items SET price = ? WHERE id = ?"
		if db.Dialect().Name() == dialect.PG {
			query = "UPDATE items SET price = $1 WHERE id = $2"
		}
		stmt, err := db.Prepare(query)
		must(t, stmt, err)
		defer stmt.Close()
		for id := range 3 {
			_, err := stmt.Exec(1000, id+1)
			must(t, stmt, err)
		}
	}},
	{name: "without bun", keys: 2, wrapperOnly: true, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		rawExec(t, db.DB, "UPDATE items SET price = 1 WHERE id = 4")
		tx, err := db.DB.Begin()
		must(t, tx, err)
		rawExec(t, tx, "UPDATE items SET price = 1 WHERE id = 5")
		must(t, tx, tx.Commit())
	}},
	{name: "connection", keys: 1, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		conn, err := db.Conn(ctx)
		must(t, conn, err)
		defer conn.Close()
		exec(t, conn.NewUpdate().Model(&hookPair{A: 1, B: "x", N: 100}).WherePK())
	}},
	{name: "transaction as text", keys: anyWhole, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		conn, err := db.Conn(ctx)
		must(t, conn, err)
		defer conn.Close()
		rawExec(t, conn, "BEGIN")
		exec(t, conn.NewUpdate().Model(&hookItem{ID: 2, Name: "x"}).WherePK())
		rawExec(t, conn, `DELETE FROM "main"."people"`)
		rawExec(t, conn, "END")
	}},
	{name: "immediate transaction", keys: 1, only: dialect.SQLite, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		conn, err := db.Conn(ctx)
		must(t, conn, err)
		defer conn.Close()
		rawExec(t, conn, "BEGIN IMMEDIATE")
		exec(t, conn.NewUpdate().Model(&hookItem{ID: 2, Name: "x"}).WherePK())
		rawExec(t, conn, "commit transaction")
	}},
	{name: "transaction by savepoint", keys: 2, only: dialect.SQLite, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		conn, err := db.Conn(ctx)
		must(t, conn, err)
		defer conn.Close()
		rawExec(t, conn, "SAVEPOINT a")
		exec(t, conn.NewUpdate().Model(&hookItem{ID: 2, Name: "x"}).WherePK())
		rawExec(t, conn, `SAVEPOINT "B"`)
		exec(t, conn.NewUpdate().Model(&hookItem{ID: 3, Name: "x"}).WherePK())
		rawExec(t, conn, `RELEASE b`)
		rawExec(t, conn, "RELEASE SAVEPOINT A")
	}},
	{name: "RunInTx", keys: 3, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		must(t, db, db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			exec(t, tx.NewInsert().Model(&hookItem{Name: "new"})) // with a context of its own
			_, err := tx.NewUpdate().Model(&hookPair{A: 1, B: "x", N: 100}).WherePK().Exec(ctx)
			must(t, tx, err)
			rawExec(t, tx, "UPDATE items SET price = 0 WHERE id = 9")
			return nil
		}))
	}},
	{name: "RunInTx that fails", keys: 0, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewUpdate().Model(&hookPair{A: 1, B: "x", N: 100}).WherePK().Exec(ctx)
			must(t, tx, err)
			return errRefused
		})
		if !errors.Is(err, errRefused) {
			t.Error(err)
		}
	}},
	{name: "RunInTx that panics", keys: 0, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		defer func() { _ = recover() }()
		_ = db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewDelete().Model((*hookItem)(nil)).Where("true").Exec(ctx)
			must(t, tx, err)
			panic("in mid-transaction")
		})
	}},
	{name: "BeginTx", keys: 2, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		tx, err := db.BeginTx(ctx, nil)
		must(t, tx, err)
		defer func() { _ = tx.Rollback() }()
		exec(t, tx.NewUpdate().Model(&hookItem{ID: 2, Name: "x"}).WherePK())
		exec(t, tx.NewUpdate().Model(&hookPerson{Code: "Zoë", Age: 2}).WherePK())
		must(t, tx, tx.Commit())
	}},
	{name: "transaction on a connection", keys: 1, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		conn, err := db.Conn(ctx)
		must(t, conn, err)
		defer conn.Close()
		must(t, conn, conn.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			exec(t, tx.NewUpdate().Model(&hookItem{ID: 2, Name: "x"}).WherePK())
			return nil
		}))
	}},
	{name: "nested transactions", keys: 3, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		must(t, db, db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			exec(t, tx.NewUpdate().Model(&hookItem{ID: 2, Name: "x"}).WherePK())
			must(t, tx, tx.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
				exec(t, tx.NewUpdate().Model(&hookItem{ID: 3, Name: "x"}).WherePK())
				return nil
			}))
			err := tx.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
				exec(t, tx.NewUpdate().Model(&hookItem{ID: 4, Name: "x"}).WherePK())
				return errRefused
			})
			if !errors.Is(err, errRefused) {
				t.Error(err)
			}
			return nil
		}))
	}},
	{name: "context of another transaction", keys: 2, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		// The statement has the context of a transaction that is rolled back, but
		// is none of its statements. (SQLite lets one write at a time.)
		var other context.Context
		_ = db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			other = ctx
			return errRefused
		})
		_, err := db.NewUpdate().Model(&hookItem{ID: 2, Name: "x"}).WherePK().Exec(other)
		must(t, db, err)
		tx, err := db.BeginTx(ctx, nil)
		must(t, tx, err)
		_, err = tx.NewUpdate().Model(&hookItem{ID: 3, Name: "x"}).WherePK().Exec(other)
		must(t, tx, err)
		must(t, tx, tx.Commit())
	}},
	{name: "failing statement in a transaction", keys: anyWhole, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		tx, err := db.BeginTx(ctx, nil)
		must(t, tx, err)
		exec(t, tx.NewUpdate().Model(&hookItem{ID: 2, Name: "x"}).WherePK())
		rawExec(t, tx, "SAVEPOINT a")
		if _, err := tx.NewInsert().Model(&hookItem{ID: 1, Name: "again"}).Exec(ctx); err == nil {
			t.Error("a second row with the same key was inserted")
		}
		rawExec(t, tx, "ROLLBACK TO a")
		exec(t, tx.NewUpdate().Model(&hookItem{ID: 3, Name: "x"}).WherePK())
		must(t, tx, tx.Commit())
	}},
	{name: "transaction that SQLite rolls back", keys: anyWhole, only: dialect.SQLite, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		tx, err := db.BeginTx(ctx, nil)
		must(t, tx, err)
		exec(t, tx.NewUpdate().Model(&hookItem{ID: 2, Name: "x"}).WherePK())
		if _, err := tx.Exec("INSERT OR ROLLBACK INTO items (id, name, price) VALUES (1, 'again', 1)"); err == nil {
			t.Error("a second row with the same key was inserted")
		}
		exec(t, tx.NewUpdate().Model(&hookItem{ID: 3, Name: "x"}).WherePK()) // commits at once
		_ = tx.Rollback()
		// It stays in doubt until the connection begins another one.
		must(t, db, db.RunInTx(ctx, nil, func(context.Context, bun.Tx) error { return nil }))
	}},
	{name: "cancelled in mid-transaction", keys: 0, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewUpdate().Model(&hookItem{ID: 2, Name: "x"}).WherePK().Exec(ctx)
			must(t, tx, err)
			cancel()
			return nil
		})
		if err == nil {
			t.Error("a cancelled transaction was committed")
		}
	}},
	{name: "cancelled and left alone", keys: 0, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		ctx, cancel := context.WithCancel(ctx)
		tx, err := db.BeginTx(ctx, nil)
		must(t, tx, err)
		exec(t, tx.NewUpdate().Model(&hookItem{ID: 2, Name: "x"}).WherePK())
		cancel()
		waitFor(t, "the connection", func() bool { return db.DB.Stats().InUse == 0 })
	}},
	{name: "connection given back with a transaction", keys: anyWhole, only: dialect.SQLite, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		// SQLite's driver keeps the transaction open in the pool.
		db.SetMaxOpenConns(1)
		conn, err := db.Conn(ctx)
		must(t, conn, err)
		rawExec(t, conn, "BEGIN")
		exec(t, conn.NewUpdate().Model(&hookItem{ID: 2, Name: "x"}).WherePK())
		must(t, conn, conn.Close())
		exec(t, db.NewUpdate().Model(&hookItem{ID: 3, Name: "x"}).WherePK())
		rawExec(t, db, "COMMIT")
	}},
	{name: "one connection", keys: 4, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		db.SetMaxOpenConns(1)
		exec(t, db.NewInsert().Model(&hookItem{Name: "new"}))
		exec(t, db.NewUpdate().Model(&hookItem{ID: 2, Name: "x"}).WherePK())
		must(t, db, db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			exec(t, tx.NewUpdate().Model(&hookItem{ID: 3, Name: "x"}).WherePK())
			exec(t, tx.NewUpdate().Model(&hookItem{ID: 4, Name: "x"}).WherePK())
			return nil
		}))
	}},
	{name: "reads", keys: 0, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		n, err := db.NewSelect().Model((*hookItem)(nil)).Where("name <> 'a;b'").Count(ctx)
		must(t, n, err)
		rawExec(t, db, "WITH x AS (SELECT 1) SELECT * FROM x;")
		rawExec(t, db, "EXPLAIN DELETE FROM items")
		must(t, db, db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			return tx.NewSelect().Model(&[]hookItem{}).Scan(ctx)
		}))
	}},
	{name: "more keys than are kept apart", keys: anyWhole, run: func(t *testing.T, ctx context.Context, db *bun.DB) {
		items := make([]hookItem, keyproof.MaxKeys+1)
		for i := range items {
			items[i].Name = fmt.Sprint(i)
		}
		exec(t, db.NewInsert().Model(&items))
	}},
}
