package bunsource

import (
	"context"
	"testing"
	"time"

	"github.com/uptrace/bun/dialect"
)

// Every kind of write is reported when it can be seen, by key where that is
// promised, and no announcement stays open.
func TestEveryKindOfWriteIsReported(t *testing.T) {
	t.Parallel()
	eachHookDB(t, func(t *testing.T, h *hookDB) {
		for _, c := range hookCases {
			if c.only > 0 && c.only != h.db.Dialect().Name() || c.wrapperOnly && !h.wrapped {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				h.fill(t)
				defer h.db.SetMaxOpenConns(0)
				reports := h.check(t, c.late && !h.wrapped, func() { c.run(t, context.Background(), h.db) })
				waitFor(t, "the connections", func() bool { return h.db.DB.Stats().InUse == 0 })
				if !h.wrapped || c.keys == anyWhole {
					return
				}
				if keys, whole := reportedKeys(reports); whole || keys != c.keys {
					t.Errorf("reported %v, want %d keys", changesOf(reports), c.keys)
				}
			})
		}
	})
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s in vain", what)
		}
	}
}

// SQLite may end a transaction by itself. What follows on the same *bun.Tx
// commits at once, and is reported at once.
func TestTransactionsThatEndByThemselves(t *testing.T) {
	h := newHookDB(t, dialect.SQLite, true)
	tx, err := h.db.BeginTx(t.Context(), nil)
	must(t, tx, err)
	defer func() { _ = tx.Rollback() }()
	h.check(t, false, func() {
		exec(t, tx.NewUpdate().Model(&hookItem{ID: 2, Name: "x"}).WherePK())
		if _, err := tx.Exec("INSERT OR ROLLBACK INTO items (id, name, price) VALUES (1, 'again', 1)"); err == nil {
			t.Error("a second row with the same key was inserted")
		}
		exec(t, tx.NewUpdate().Model(&hookItem{ID: 3, Name: "x"}).WherePK())
	})
}

// In SQLite the statements of a connection that are not part of a transaction
// are committed together, when the last of them is over.
func TestStatementsThatAreCommittedTogether(t *testing.T) {
	h := newHookDB(t, dialect.SQLite, true)
	conn, err := h.db.Conn(t.Context())
	must(t, conn, err)
	h.check(t, false, func() {
		rows, err := conn.QueryContext(t.Context(), "UPDATE items SET price = 1 WHERE id < 4 RETURNING id")
		must(t, conn, err)
		rows.Next()
		exec(t, conn.NewUpdate().Model(&hookPair{A: 1, B: "x", N: 100}).WherePK())
		must(t, rows, rows.Close())
	})
	// A transaction that begins in between takes the open statement along.
	h.check(t, false, func() {
		rows, err := conn.QueryContext(t.Context(), "UPDATE items SET price = 2 WHERE id < 4 RETURNING id")
		must(t, conn, err)
		rows.Next()
		rawExec(t, conn, "BEGIN")
		must(t, rows, rows.Close())
		rawExec(t, conn, "COMMIT")
	})
	must(t, conn, conn.Close())
}
