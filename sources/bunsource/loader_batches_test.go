package bunsource

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	_ "modernc.org/sqlite"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/sqlgen"
	"github.com/binderyhq/bindery/sources/sourcetest/buntest"
)

func TestLoadInBatches(t *testing.T) {
	t.Parallel()
	type pair struct {
		bun.BaseModel `bun:"table:pairs"`
		A             int64  `bun:",pk"`
		B             string `bun:",pk"`
	}
	// A statement takes 32,766 parameters in SQLite, and 65,535 in Postgres.
	n, pairCount := 35_000, 33_000
	const every = 20 // of so many keys one has a row: scanning rows is not what is tried here
	if buntest.Long() {
		n, pairCount = 100_000, 40_000
	}
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		db.SetMaxOpenConns(1) // several statements must not need several connections
		createTable[intKeyed](t, db)
		createTable[pair](t, db)
		mustExec(t, db, `INSERT INTO "Int Keyed" WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM s WHERE n < ?) SELECT n*20 FROM s`, n/every)
		mustExec(t, db, `INSERT INTO pairs WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM s WHERE n < ?) SELECT n*20, 'b' || (n*20) FROM s`, pairCount/every)
		ints := preparedLoader[intKeyed](t, db)
		pairs := preparedLoader[pair](t, db)
		counts := []int{every, pairCount}
		if buntest.Long() {
			counts = append(counts, n)
		}
		for _, count := range counts {
			intKeys, pairKeys := make([]driver.Key, count), make([]driver.Key, count)
			for i := range count {
				intKeys[i] = driver.KeyOf(i + 1)
				pairKeys[i] = driver.KeyOf(i+1, fmt.Sprintf("b%d", i+1))
			}
			rows, err := ints.Load(t.Context(), intKeys)
			if err != nil {
				t.Fatal(err)
			}
			if want := count / every; len(rows) != want {
				t.Errorf("%d keys: read %d rows, want %d", count, len(rows), want)
			}
			if count > pairCount {
				continue
			}
			two, err := pairs.Load(t.Context(), pairKeys)
			if err != nil {
				t.Fatal(err)
			}
			if len(two) != count/every {
				t.Errorf("%d composite keys: read %d rows", count, len(two))
			}
		}
		// Limited, over several statements: the first of all of them.
		keys := make([]driver.Key, n)
		for i := range keys {
			keys[i] = driver.KeyOf(i + 1)
		}
		rows, err := ints.Query(t.Context(), driver.Query{Keys: keys, Limit: 3, Order: []driver.Order{{Column: "id", Desc: true}}})
		if err != nil {
			t.Fatal(err)
		}
		var ids []int64
		for _, r := range rows {
			ids = append(ids, r.ID)
		}
		if !slices.Equal(ids, []int64{int64(n), int64(n) - every, int64(n) - 2*every}) {
			t.Errorf("the last three of many keys: %v", ids)
		}
	})
}

// The statements that one Load takes show one state of the database.
func TestBatchesAreOfOneMoment(t *testing.T) {
	t.Parallel()
	type account struct {
		bun.BaseModel `bun:"table:accounts"`
		ID            int64 `bun:",pk"`
		Amount        int64 `bun:",notnull"`
	}
	const n = 50
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		rows := make([]account, n)
		keys := make([]driver.Key, n)
		for i := range rows {
			rows[i].ID = int64(i)
			keys[i] = driver.KeyOf(i)
		}
		createTable(t, db, rows...)
		l := preparedLoader[account](t, db)
		m, _ := l.model()
		small := *m
		small.Limits.Params = 5
		l.refined.Store(&small)
		if batches, err := sqlgen.KeyBatches(&small, keys); err != nil || len(batches) != 10 {
			t.Fatalf("%d batches, %v", len(batches), err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			for ctx.Err() == nil {
				_, err := db.NewRaw("UPDATE accounts SET amount = CASE WHEN id = ? THEN amount - 1 ELSE amount + 1 END WHERE id IN (?, ?)",
					0, 0, n-1).Exec(context.WithoutCancel(ctx))
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		for range 100 {
			rows, err := l.Load(t.Context(), keys)
			if err != nil {
				t.Error(err)
				break
			}
			sum := int64(0)
			for _, r := range rows {
				sum += r.Amount
			}
			if sum != 0 || len(rows) != n {
				t.Errorf("%d rows with a total of %d: of different moments", len(rows), sum)
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// Few long keys fill a statement as many short ones do.
func TestBatchesAreBoundedInBytes(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		createTable[textKeyed](t, db)
		m, err := preparedLoader[textKeyed](t, db).model()
		if err != nil {
			t.Fatal(err)
		}
		var keys []driver.Key
		for i := range 10 {
			keys = append(keys, driver.KeyOf(strings.Repeat(string(rune('a'+i)), m.Limits.Bytes/4)))
		}
		batches, err := sqlgen.KeyBatches(m, keys)
		if err != nil || len(batches) != 3 {
			t.Errorf("%d batches, %v; want 3", len(batches), err)
		}
	})
}
