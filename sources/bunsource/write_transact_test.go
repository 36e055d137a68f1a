package bunsource

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/binderyhq/bindery/core/driver"
)

// Reads inside the transaction see it, reads outside do not, and what is rolled
// back was never there.
func TestTransact(t *testing.T) {
	eachWritable(t, func(t *testing.T, db *bun.DB) {
		l := preparedLoader[ware](t, db)
		count := func(ctx context.Context) int {
			t.Helper()
			rows, err := l.Load(ctx, nil)
			if err != nil {
				t.Error(err)
			}
			return len(rows)
		}
		cause := errors.New("enough")
		insert := func(ctx context.Context) error {
			_, err := l.Insert(ctx, &ware{Name: "x"}, []string{"name", "price"})
			return err
		}
		err := l.Transact(t.Context(), func(ctx context.Context) error {
			if err := insert(ctx); err != nil {
				return err
			}
			if in, out := count(ctx), count(t.Context()); in != 1 || out != 0 {
				t.Errorf("%d rows inside, %d outside", in, out)
			}
			return cause
		})
		if err != cause || count(t.Context()) != 0 {
			t.Errorf("%v, %d rows", err, count(t.Context()))
		}
		func() {
			defer func() { _ = recover() }()
			_ = l.Transact(t.Context(), func(ctx context.Context) error {
				if err := insert(ctx); err != nil {
					t.Error(err)
				}
				panic("no")
			})
		}()
		if count(t.Context()) != 0 {
			t.Error("a panic committed")
		}
		for what, err := range map[string]error{
			"Lock": l.Lock(t.Context(), "k"), "Delete": l.Delete(t.Context(), "k"), "Insert": insert(t.Context()),
			"Update": l.Update(t.Context(), "k", &ware{}, nil, nil),
		} {
			if err == nil {
				t.Errorf("%s outside of a transaction", what)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		if err := l.Transact(ctx, func(ctx context.Context) error { err := insert(ctx); cancel(); return err }); !errors.Is(err, context.Canceled) {
			t.Errorf("a context that ended: %v", err)
		}
		if count(t.Context()) != 0 {
			t.Error("a context that ended committed")
		}
	})
}

// Transactions that collide are run again, and come to their end.
func TestCollisionsAreRetried(t *testing.T) {
	eachWritable(t, func(t *testing.T, db *bun.DB) {
		l := preparedLoader[ware](t, db)
		key := func(i int64) driver.Key { return driver.KeyOf(i) }
		err := l.Transact(t.Context(), func(ctx context.Context) error {
			for range 2 {
				if _, err := l.Insert(ctx, &ware{Name: "x"}, []string{"name", "price"}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		// Each locks one row, and then the other's: on SQLite the first lock is
		// that of the whole file, so there they read first and cannot upgrade.
		var met sync.WaitGroup
		met.Add(2)
		var once [2]sync.Once
		var runs [2]int
		var wg sync.WaitGroup
		for i := range int64(2) {
			wg.Go(func() {
				err := l.Transact(t.Context(), func(ctx context.Context) error {
					runs[i]++
					if db.Dialect().Name() == dialect.SQLite {
						if _, err := l.Load(ctx, nil); err != nil {
							return err
						}
					} else if err := l.Lock(ctx, key(1+i)); err != nil {
						return err
					}
					once[i].Do(func() { met.Done(); met.Wait() })
					return l.Update(ctx, key(2-i), &ware{Name: fmt.Sprint("by ", i)}, []string{"name"}, nil)
				})
				if err != nil {
					t.Errorf("transaction %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if runs[0]+runs[1] < 3 {
			t.Errorf("runs %v: nothing collided", runs)
		}
	})
}

// SQLite without a busy timeout refuses at once whoever comes second: trying
// again is up to the loader.
func TestBusyDatabaseIsRetried(t *testing.T) {
	db, err := Open("sqlite", "file:"+filepath.Join(t.TempDir(), "busy.db")+"?"+walMode, sqlitedialect.New())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	createTable[defaultOnly](t, db)
	l := preparedLoader[defaultOnly](t, db)
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "INSERT INTO default_only (n) VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	runs := 0
	err = l.Transact(t.Context(), func(ctx context.Context) error {
		if runs++; runs == 2 {
			if err := tx.Commit(); err != nil {
				t.Error(err)
			}
		}
		_, err := l.Insert(ctx, &defaultOnly{N: 2}, []string{"n"})
		return err
	})
	if err != nil || runs < 2 {
		t.Errorf("%v after %d runs", err, runs)
	}
	if rows := loadAll(t, l); len(rows) != 2 {
		t.Errorf("%d rows", len(rows))
	}
}
