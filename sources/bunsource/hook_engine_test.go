package bunsource

import (
	"context"
	"fmt"
	"testing"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
)

type account struct {
	bun.BaseModel `bun:"table:accounts,alias:acc"`

	ID     int64 `bun:",pk,autoincrement"`
	Amount int64 `bun:",notnull"`
}

// openBank starts a registry that watches a table of accounts with the hooks.
func openBank(t *testing.T, d dialect.Name, wrapped bool, accounts int) (*bun.DB, *core.Binding[account]) {
	t.Helper()
	db, plain := openHookDB(t, d, wrapped)
	rows := make([]account, accounts)
	for i := range rows {
		rows[i] = account{ID: int64(i) + 1, Amount: 100}
	}
	createTable(t, plain, rows...)
	if d == dialect.PG {
		mustExec(t, plain, "SELECT setval('accounts_id_seq', 100)")
	}
	b := Bind[account](db, "accounts")
	reg := core.NewRegistry()
	must(t, reg, reg.Add(b))
	must(t, reg, reg.Watch(Hooks(db)))
	must(t, reg, reg.Start(t.Context()))
	t.Cleanup(func() { must(t, reg, reg.Shutdown(context.Background())) })
	waitFor(t, "the first version", func() bool { return b.Len() == accounts })
	return db, b
}

// Whoever writes through Bun finds it in the binding when the write returns.
func TestOwnWritesAreRead(t *testing.T) {
	for _, d := range []dialect.Name{dialect.SQLite, dialect.PG} {
		for _, wrapped := range []bool{true, false} {
			t.Run(fmt.Sprint(d, wrapped), func(t *testing.T) {
				db, b := openBank(t, d, wrapped, 3)
				for i := range int64(20) {
					a := account{Amount: i}
					exec(t, db.NewInsert().Model(&a))
					if got, ok := b.Get(driver.KeyOf(a.ID)); !ok || got.Amount != i {
						t.Fatalf("the binding has %+v (%v), just after %+v was inserted", got, ok, a)
					}
					must(t, db, db.RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
						a.Amount++
						_, err := tx.NewUpdate().Model(&a).WherePK().Exec(ctx)
						return err
					}))
					if got, _ := b.Get(driver.KeyOf(a.ID)); got.Amount != i+1 {
						t.Fatalf("the binding has %+v, just after %+v was updated", got, a)
					}
					exec(t, db.NewDelete().Model(&a).WherePK())
					if got, ok := b.Get(driver.KeyOf(a.ID)); ok {
						t.Fatalf("the binding has %+v, which was just deleted", got)
					}
				}
			})
		}
	}
}

// With one connection to share, writes and reads do not wait for each other.
func TestOwnWritesOnOneConnection(t *testing.T) {
	db, b := openBank(t, dialect.SQLite, true, 3)
	db.SetMaxOpenConns(1)
	exec(t, db.NewInsert().Model(&account{ID: 50, Amount: 5}))
	if _, ok := b.Get(driver.KeyOf(50)); !ok {
		t.Error("the binding has not caught up")
	}
	conn, err := db.Conn(t.Context())
	must(t, conn, err)
	exec(t, conn.NewInsert().Model(&account{ID: 51, Amount: 5})) // would wait for itself
	must(t, conn, conn.Close())
	waitFor(t, "the binding", func() bool { _, ok := b.Get(driver.KeyOf(51)); return ok })
}
