package together_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/pollsource"
	"github.com/binderyhq/bindery/sources/sqlitesource"
)

// parcel is a row that may be long. Its amount is its last column, so that in a long row a
// transfer overwrites nothing but a page on which the row goes on.
type parcel struct {
	bun.BaseModel `bun:"table:parcels"`

	ID     int64  `bun:",pk" json:"id"`
	Body   string `bun:",notnull" json:"-"`
	Amount int64  `bun:",notnull" json:"amount"`
}

const (
	parcels      = 60
	parcelAmount = 10_000 // what is left of it takes two bytes after any transfer
)

// parcelWatch holds every version against the sum of all amounts.
type parcelWatch struct {
	bindings map[string]*core.Binding[parcel]

	mu       sync.Mutex // guards what follows
	versions int
	torn     error
}

var _ core.PublishObserver = (*parcelWatch)(nil)

func (*parcelWatch) Name() string                                { return "parcels" }
func (*parcelWatch) Start(context.Context, *core.Registry) error { return nil }
func (*parcelWatch) Shutdown(context.Context) error              { return nil }

func (w *parcelWatch) Published(v *live.View, e *live.Event) {
	var sum int64
	rows := 0
	for p := range w.bindings[v.Name()].All() {
		sum += p.Amount
		rows++
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.versions++
	if sum != int64(rows*parcelAmount) && w.torn == nil {
		w.torn = fmt.Errorf("version %d of %q shows a total of %d in %d rows, want %d", e.Version.Seq, v.Name(), sum, rows, rows*parcelAmount)
	}
}

// TestLongRowsOfOthersAreWhole: others move amounts between short rows, and rows so long
// that only pages change on which they go on. They insert and delete such rows in pairs,
// checkpoint the log and let it begin anew, while this process writes rows of its own.
// No version ever shows a part of a transaction.
func TestLongRowsOfOthersAreWhole(t *testing.T) {
	polled := func(t *testing.T) (db, others *bun.DB, watch []driver.Source) {
		db, others = openSQLite(t)
		return db, others, []driver.Source{bunsource.Hooks(db), pollsource.New(time.Hour, pollsource.DataVersion(db))}
	}
	t.Run("by the number of the row", func(t *testing.T) { longRowsOfOthersAreWhole(t, "INTEGER PRIMARY KEY", polled) })
	t.Run("by another key", func(t *testing.T) { longRowsOfOthersAreWhole(t, "INT PRIMARY KEY", polled) })
	t.Run("with the hooks of SQLite", func(t *testing.T) {
		longRowsOfOthersAreWhole(t, "INTEGER PRIMARY KEY", func(t *testing.T) (db, others *bun.DB, watch []driver.Source) {
			dsn := sqliteDSN(t)
			source, err := sqlitesource.New(dsn, sqlitesource.Config{Interval: time.Hour})
			must(t, err)
			db = bun.NewDB(sql.OpenDB(source.Connector()), sqlitedialect.New())
			t.Cleanup(func() { must(t, db.Close()) })
			return db, openPlain(t, "sqlite", dsn), []driver.Source{source}
		})
	})
}

func longRowsOfOthersAreWhole(t *testing.T, key string, open func(*testing.T) (db, others *bun.DB, watch []driver.Source)) {
	db, others, watch := open(t)
	_, err := others.ExecContext(t.Context(), "CREATE TABLE parcels (id "+key+", body TEXT NOT NULL, amount INTEGER NOT NULL)")
	must(t, err)
	body := func(random *rand.Rand) string {
		return strings.Repeat(string(rune('a'+random.IntN(26))), []int{10, 100, 6000, 20000}[random.IntN(4)])
	}
	random := rand.New(rand.NewPCG(1, 2))
	rows := make([]parcel, parcels)
	for i := range rows {
		rows[i] = parcel{ID: int64(i), Body: body(random), Amount: parcelAmount}
	}
	_, err = others.NewInsert().Model(&rows).Exec(t.Context())
	must(t, err)

	w := &parcelWatch{bindings: map[string]*core.Binding[parcel]{
		"all":     bunsource.Bind[parcel](db, "all"),
		"richest": bunsource.Bind[parcel](db, "richest", core.OrderBy("-amount"), core.Limit(10*parcels)),
		"opaque": bunsource.Bind[parcel](db, "opaque", bunsource.Where(func(q *bun.SelectQuery) *bun.SelectQuery {
			return q.Where("id + 0 >= 0")
		})),
	}}
	reg := core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}.NewRegistry()
	for _, b := range w.bindings {
		must(t, reg.Add(b))
	}
	must(t, reg.Watch(watch...))
	must(t, reg.Use(w))
	must(t, reg.Start(t.Context()))
	t.Cleanup(func() { shutdown(t, reg) })

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var work sync.WaitGroup
	work.Go(func() { // others, with the first half of the rows and those above all
		for next := int64(10 * parcels); ctx.Err() == nil; next += 2 {
			from, to, n := random.IntN(parcels/2), random.IntN(parcels/2), random.IntN(9)
			err := others.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
				if random.IntN(5) == 0 { // a pair that makes up for each other
					pair := []parcel{{ID: next, Body: body(random), Amount: parcelAmount + 7}, {ID: next + 1, Body: body(random), Amount: parcelAmount - 7}}
					if _, err := tx.NewInsert().Model(&pair).Exec(ctx); err != nil {
						return err
					}
					_, err := tx.NewDelete().Model((*parcel)(nil)).Where("id BETWEEN ? AND ?", next-20, next-11).Exec(ctx)
					return err
				}
				if _, err := tx.NewUpdate().Model((*parcel)(nil)).Set("amount = amount - ?", n).Where("id = ?", from).Exec(ctx); err != nil {
					return err
				}
				_, err := tx.NewUpdate().Model((*parcel)(nil)).Set("amount = amount + ?", n).Where("id = ?", to).Exec(ctx)
				return err
			})
			if err == nil && random.IntN(20) == 0 {
				_, err = others.ExecContext(ctx, []string{"PRAGMA wal_checkpoint(PASSIVE)", "PRAGMA wal_checkpoint(TRUNCATE)"}[random.IntN(2)])
			}
			if err != nil && ctx.Err() == nil {
				t.Error(err)
			}
			time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
		}
	})
	work.Go(func() { // this process, with the other half
		random := rand.New(rand.NewPCG(3, 4))
		for ctx.Err() == nil {
			from, to, n := parcels/2+random.IntN(parcels/2), parcels/2+random.IntN(parcels/2), random.IntN(9)
			err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
				if _, err := tx.NewUpdate().Model((*parcel)(nil)).Set("amount = amount - ?", n).Where("id = ?", from).Exec(ctx); err != nil {
					return err
				}
				_, err := tx.NewUpdate().Model((*parcel)(nil)).Set("amount = amount + ?", n).Where("id = ?", to).Exec(ctx)
				return err
			})
			if err != nil && ctx.Err() == nil {
				t.Error(err)
			}
			time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
		}
	})
	time.Sleep(2 * time.Second) // for as long as they work
	eventually(t, "there are some versions", func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.versions < 20 {
			return fmt.Errorf("there are %d", w.versions)
		}
		return nil
	})
	cancel()
	work.Wait()

	eventually(t, "all bindings show what the database holds", func() error {
		var want []parcel
		if err := others.NewSelect().Model(&want).Scan(t.Context()); err != nil {
			return err
		}
		for name, b := range w.bindings {
			if b.Len() != len(want) {
				return fmt.Errorf("%q holds %d rows of %d", name, b.Len(), len(want))
			}
			for _, p := range want {
				if got, ok := b.Get(p.ID); !ok || got.Amount != p.Amount || got.Body != p.Body {
					return fmt.Errorf("%q shows row %d with %d, want %d", name, p.ID, got.Amount, p.Amount)
				}
			}
		}
		return nil
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.torn != nil {
		t.Errorf("%v (of %d versions)", w.torn, w.versions)
	}
}
