package together_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/binderyhq/bindery/sources/sourcetest/buntest"
	"github.com/uptrace/bun"
)

// transfer moves an amount between two accounts of one branch, in one of the
// many ways to write a database. It returns errRefused when it has not been
// made, for a reason that is part of the game.
type transfer func(ctx context.Context, db *bun.DB, rnd *rand.Rand) error

// neverClosed is how many accounts, from the first, are always there.
const neverClosed = 10 * bankBranches

var (
	errRefused = errors.New("refused")
	errUndo    = errors.New("undo")
)

// parties draws two accounts of one branch, the lower one first, so that
// transfers rarely lock each other out, and an amount.
func parties(rnd *rand.Rand) (from, to, amount int64) {
	branch := rnd.Int64N(bankBranches)
	for from == to {
		from = rnd.Int64N(bankAccounts/bankBranches)*bankBranches + branch
		to = rnd.Int64N(bankAccounts/bankBranches)*bankBranches + branch
	}
	amount = rnd.Int64N(20) - 10
	return min(from, to), max(from, to), amount
}

// move makes the two updates, and refuses when an account is closed.
func move(ctx context.Context, db bun.IDB, from, to, amount int64) error {
	for _, part := range []account{{ID: from, Balance: -amount}, {ID: to, Balance: amount}} {
		res, err := db.NewUpdate().Model(&part).Set("balance = balance + ?", part.Balance).WherePK().Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return errors.Join(errRefused, err)
		}
	}
	return nil
}

// moveText is move in SQL text, on anything of database/sql.
func moveText(ctx context.Context, db interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}, from, to, amount int64,
) error {
	for _, query := range []string{
		fmt.Sprintf("UPDATE accounts SET balance = balance - %d WHERE id = %d", amount, from),
		fmt.Sprintf("UPDATE accounts SET balance = balance + %d WHERE id = %d", amount, to),
	} {
		res, err := db.ExecContext(ctx, query)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return errors.Join(errRefused, err)
		}
	}
	return nil
}

var transfers = map[string]transfer{
	"RunInTx": func(ctx context.Context, db *bun.DB, rnd *rand.Rand) error {
		from, to, amount := parties(rnd)
		return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error { return move(ctx, tx, from, to, amount) })
	},
	"BeginTx with a context of its own": func(ctx context.Context, db *bun.DB, rnd *rand.Rand) error {
		from, to, amount := parties(rnd)
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if err := move(context.Background(), tx, from, to, amount); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	},
	"one statement": func(ctx context.Context, db *bun.DB, rnd *rand.Rand) error {
		from, to, amount := parties(rnd)
		if from >= neverClosed || to >= neverClosed { // which no statement can make sure of by itself
			from, to = from%neverClosed, (from+bankBranches)%neverClosed
		}
		_, err := db.NewRaw(`UPDATE accounts SET balance = balance + CASE id WHEN ? THEN ? ELSE ? END WHERE id IN (?, ?)`,
			from, -amount, amount, from, to).Exec(ctx)
		return err
	},
	"Bulk": func(ctx context.Context, db *bun.DB, rnd *rand.Rand) error {
		from, to, amount := parties(rnd)
		return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			var both []account
			q := tx.NewSelect().Model(&both).Where("id IN (?, ?)", from, to).Order("id")
			if !isSQLite(db) {
				q = q.For("UPDATE")
			}
			if err := q.Scan(ctx); err != nil {
				return err
			}
			if len(both) != 2 {
				return errRefused
			}
			both[0].Balance -= amount
			both[1].Balance += amount
			_, err := tx.NewUpdate().Model(&both).Column("balance").Bulk().Exec(ctx)
			return err
		})
	},
	"a fee from a whole branch": func(ctx context.Context, db *bun.DB, rnd *rand.Rand) error {
		branch := rnd.Int64N(bankBranches) // and the number of its first account
		return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			res, err := tx.NewUpdate().Model((*account)(nil)).Set("balance = balance - 1").
				Where("branch = ?", branch).Where("id <> ?", branch).Exec(ctx)
			if err != nil {
				return err
			}
			n, err := res.RowsAffected()
			if err != nil {
				return err
			}
			_, err = tx.NewUpdate().Model(&account{ID: branch}).Set("balance = balance + ?", n).WherePK().Exec(ctx)
			return err
		})
	},
	"a closed account": func(ctx context.Context, db *bun.DB, rnd *rand.Rand) error {
		heir, closed, _ := parties(rnd)
		if closed < neverClosed {
			return errRefused
		}
		return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			var old account
			err := tx.NewDelete().Model(&old).Where("id = ?", closed).Returning("*").Scan(ctx)
			if errors.Is(err, sql.ErrNoRows) {
				return errRefused
			} else if err != nil {
				return err
			}
			res, err := tx.NewUpdate().Model(&account{ID: heir}).Set("balance = balance + ?", old.Balance).WherePK().Exec(ctx)
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil || n != 1 {
				return errors.Join(errRefused, err)
			}
			return nil
		})
	},
	"an account opened": func(ctx context.Context, db *bun.DB, rnd *rand.Rand) error {
		id := rnd.Int64N(bankAccounts)
		_, err := db.NewInsert().Model(&account{ID: id, Branch: id % bankBranches}).On("CONFLICT (id) DO NOTHING").Exec(ctx)
		return err
	},
	"a savepoint": func(ctx context.Context, db *bun.DB, rnd *rand.Rand) error {
		a, b, amount := parties(rnd)
		c, d, more := parties(rnd)
		return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			err := tx.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
				return errors.Join(move(ctx, tx, a, b, amount), errUndo)
			})
			if !errors.Is(err, errUndo) {
				return err
			}
			return move(ctx, tx, c, d, more)
		})
	},
	"half a transfer, rolled back": func(ctx context.Context, db *bun.DB, rnd *rand.Rand) error {
		from, _, amount := parties(rnd)
		err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewUpdate().Model(&account{ID: from}).Set("balance = balance + ?", amount).WherePK().Exec(ctx)
			return errors.Join(err, errUndo)
		})
		if errors.Is(err, errUndo) {
			return nil
		}
		return err
	},
	"database/sql": func(ctx context.Context, db *bun.DB, rnd *rand.Rand) error {
		from, to, amount := parties(rnd)
		tx, err := db.DB.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if err := moveText(ctx, tx, from, to, amount); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	},
	"BEGIN as text": func(ctx context.Context, db *bun.DB, rnd *rand.Rand) error {
		from, to, amount := parties(rnd)
		conn, err := db.DB.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		begin := "BEGIN"
		if isSQLite(db) {
			begin = "BEGIN IMMEDIATE" // or a transaction that has read may be refused
		}
		if _, err := conn.ExecContext(ctx, begin); err != nil {
			return err
		}
		if err = moveText(ctx, conn, from, to, amount); err == nil {
			if _, err = conn.ExecContext(ctx, "COMMIT"); err == nil {
				return nil
			}
		}
		_, undone := conn.ExecContext(ctx, "ROLLBACK")
		return errors.Join(err, undone)
	},
}

// workDay has many tellers make transfers at once, each of them of all kinds
// and through one of the handles.
func workDay(t testing.TB, handles ...*bun.DB) {
	t.Helper()
	const tellers = 8
	each := 20 // transfers of a teller
	if buntest.Long() {
		each = 60
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var names []string
	for name := range transfers {
		names = append(names, name)
	}
	slices.Sort(names)
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex // guards made and last
		made = make(map[string]int)
		last = make(map[string]error)
	)
	for teller := range tellers {
		wg.Go(func() {
			rnd, db := rand.New(rand.NewPCG(1, uint64(teller))), handles[teller%len(handles)]
			for range each {
				name := names[rnd.IntN(len(names))]
				err := transfers[name](ctx, db, rnd)
				mu.Lock()
				if err == nil {
					made[name]++
				} else {
					last[name] = err
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for _, name := range names {
		if made[name] == 0 {
			t.Errorf("no transfer of the kind %q was made: %v", name, last[name])
		}
	}
	t.Logf("transfers made: %v; the last errors: %v", made, last)
}
