package bunsource_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/pgsource"
	"github.com/binderyhq/bindery/sources/pollsource"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
	"github.com/binderyhq/bindery/sources/sqlitesource"
)

// often is the interval of polls in these tests.
const often = 20 * time.Millisecond

// Purse and chest hold the same money, which goes to and fro. The sum of both is
// what nobody may ever see changed.
type purse struct {
	bun.BaseModel `bun:"table:purses"`
	ID            int64  `bun:",pk"`
	Owner         string `bun:",notnull"`
	Amount        int64  `bun:",notnull"`
}

// wealth is a row of the query: an owner, with what is in purses and in the
// chests of that name.
type wealth struct {
	Owner string `bun:",pk" json:"owner"`
	Purse int64  `json:"purse"`
	Chest int64  `json:"chest"`
	Place int64  `json:"place"`
}

const (
	owners = 4
	hoard  = 1000 // of each owner, at first

	wealthQuery = `WITH filled AS (SELECT owner, sum(amount) AS amount FROM purses GROUP BY owner)
		SELECT c.owner, coalesce(f.amount, 0) AS purse, c.amount AS chest,
			row_number() OVER (ORDER BY coalesce(f.amount, 0) + c.amount DESC, c.owner) AS place
		FROM chests AS c LEFT JOIN filled AS f ON f.owner = c.owner`
)

// anySource is a way to watch a database. What is written through watched is to be
// seen; the source is made when the tables are.
type anySource struct {
	name string
	open func(t *testing.T) (watched, plain *bun.DB, source func() driver.Source)
}

// TestQueriesConverge writes at random to the tables of a query, under every
// kind of source. Every version must be a state that the database was in, and the
// last one what the query gives.
func TestQueriesConverge(t *testing.T) {
	t.Parallel()
	sqliteDB := func(t *testing.T, name string) string {
		return "file:" + filepath.Join(t.TempDir(), name) + "?_pragma=busy_timeout(60000)&_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_txlock=immediate"
	}
	open := func(t *testing.T, driver, dsn string) *sql.DB {
		db, err := sql.Open(driver, dsn)
		must(t, err)
		t.Cleanup(func() { db.Close() })
		return db
	}
	hooked := func(t *testing.T, db *bun.DB, err error) *bun.DB {
		must(t, err)
		t.Cleanup(func() { db.Close() })
		return db
	}
	onSQLite := func(name string, source func(dsn string, db *bun.DB) driver.Source) anySource {
		return anySource{"sqlite, " + name, func(t *testing.T) (*bun.DB, *bun.DB, func() driver.Source) {
			dsn := sqliteDB(t, "wealth.db")
			plain := bun.NewDB(open(t, "sqlite", dsn), sqlitedialect.New())
			return plain, plain, func() driver.Source { return source(dsn, plain) }
		}}
	}
	onPostgres := func(name string, source func(dsn string, db *bun.DB) driver.Source) anySource {
		return anySource{"postgres, " + name, func(t *testing.T) (*bun.DB, *bun.DB, func() driver.Source) {
			dsn := pgtest.Shared(t).CreateDatabase(t)
			plain := bun.NewDB(open(t, "pgx", dsn), pgdialect.New())
			return plain, plain, func() driver.Source { return source(dsn, plain) }
		}}
	}
	for _, s := range []anySource{
		{"sqlite, hooks", func(t *testing.T) (*bun.DB, *bun.DB, func() driver.Source) {
			dsn := sqliteDB(t, "wealth.db")
			db, err := bunsource.Open("sqlite", dsn, sqlitedialect.New())
			hooked(t, db, err)
			return db, bun.NewDB(open(t, "sqlite", dsn), sqlitedialect.New()), func() driver.Source { return bunsource.Hooks(db) }
		}},
		{"sqlite, its own hooks", func(t *testing.T) (*bun.DB, *bun.DB, func() driver.Source) {
			dsn := sqliteDB(t, "wealth.db")
			source, err := sqlitesource.New(dsn)
			must(t, err)
			db := hooked(t, bun.NewDB(sql.OpenDB(source.Connector()), sqlitedialect.New()), nil)
			return db, bun.NewDB(open(t, "sqlite", dsn), sqlitedialect.New()), func() driver.Source { return source }
		}},
		onSQLite("polled", func(string, *bun.DB) driver.Source { return pollsource.Every(often) }),
		onSQLite("data version", func(_ string, db *bun.DB) driver.Source {
			return pollsource.New(often, pollsource.DataVersion(db))
		}),
		{"postgres, hooks", func(t *testing.T) (*bun.DB, *bun.DB, func() driver.Source) {
			dsn := pgtest.Shared(t).CreateDatabase(t)
			db, err := bunsource.Open("pgx", dsn, pgdialect.New())
			hooked(t, db, err)
			return db, bun.NewDB(open(t, "pgx", dsn), pgdialect.New()), func() driver.Source { return bunsource.Hooks(db) }
		}},
		onPostgres("log", func(dsn string, _ *bun.DB) driver.Source { return pgsource.New(dsn) }),
		onPostgres("triggers", func(dsn string, _ *bun.DB) driver.Source {
			must(t, pgsource.Outbox{}.Install(t.Context(), dsn, driver.Table{Name: "purses"}, driver.Table{Name: "chests"}))
			return pgsource.NewTriggers(dsn)
		}),
		onPostgres("xmin", func(_ string, db *bun.DB) driver.Source {
			return pollsource.New(often, pollsource.XMin(db, 0))
		}),
	} {
		t.Run(s.name, func(t *testing.T) { testQueriesConverge(t, s) })
	}
}

func testQueriesConverge(t *testing.T, s anySource) {
	ctx := t.Context()
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	db, plain, source := s.open(t)
	for _, statement := range []string{
		"CREATE TABLE purses (id BIGINT PRIMARY KEY, owner TEXT NOT NULL, amount BIGINT NOT NULL)",
		"CREATE TABLE chests (owner TEXT PRIMARY KEY, amount BIGINT NOT NULL)",
	} {
		_, err := plain.ExecContext(ctx, statement)
		must(t, err)
	}
	for i := range owners {
		_, err := plain.ExecContext(ctx, "INSERT INTO chests VALUES (?, ?)", fmt.Sprint("owner ", i), hoard)
		must(t, err)
	}
	query := bunsource.SQL{Text: wealthQuery, DependsOn: []any{(*purse)(nil), "chests"}}
	// One as often as it goes, and one with an interval; the purses are bound
	// themselves, the chests are not.
	all := bunsource.BindSQL[wealth](db, "wealth", query, core.OrderBy("place"))
	slow := bunsource.BindSQL[wealth](db, "slow", query, core.Tune(core.Tuning{MinInterval: 30 * time.Millisecond}), core.OrderBy("place"))
	reg := core.Config{Logger: slog.New(slog.DiscardHandler), LoadWait: -1}.NewRegistry()
	must(t, reg.Add(all, slow, bunsource.Bind[purse](db, "purses")))
	must(t, reg.Watch(source()))
	guard := &wealthGuard{}
	must(t, reg.Use(guard))
	must(t, reg.Start(ctx))

	errBack := errors.New("rolled back")
	for range 150 {
		id, amount := rnd.Int64N(8), rnd.Int64N(50)-10
		owner := fmt.Sprint("owner ", rnd.IntN(owners))
		back := rnd.IntN(5) == 0
		err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			var was purse
			err := tx.NewSelect().Model(&was).Where("id = ?", id).Scan(ctx)
			switch {
			case errors.Is(err, sql.ErrNoRows):
				_, err = tx.NewInsert().Model(&purse{ID: id, Owner: owner, Amount: amount}).Exec(ctx)
			case err != nil:
				return err
			case rnd.IntN(3) == 0: // back into the chest
				owner, amount = was.Owner, -was.Amount
				_, err = tx.NewDelete().Model(&was).WherePK().Exec(ctx)
			default:
				owner = was.Owner
				_, err = tx.ExecContext(ctx, "UPDATE purses SET amount = amount + ? WHERE id = ?", amount, id)
			}
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "UPDATE chests SET amount = amount - ? WHERE owner = ?", amount, owner); err != nil {
				return err
			}
			if back {
				return errBack
			}
			return nil
		})
		if err != nil && !errors.Is(err, errBack) {
			t.Fatal(err)
		}
	}

	var want []wealth
	must(t, plain.NewRaw(wealthQuery+" ORDER BY place").Scan(ctx, &want))
	deadline := time.Now().Add(time.Minute)
	for _, b := range []*core.Binding[wealth]{all, slow} {
		for !slices.Equal(slices.Collect(b.All()), want) {
			if time.Now().After(deadline) {
				t.Fatalf("binding %q has %v, the query gives %v (%v)", b.Name(), slices.Collect(b.All()), want, b.Status().Err)
			}
			time.Sleep(time.Millisecond)
		}
	}
	must(t, reg.Shutdown(context.Background()))
	if len(guard.wrong) > 0 || guard.versions < 2 {
		t.Errorf("of %d versions these hold more or less than %d: %q", guard.versions, owners*hoard, guard.wrong)
	}
}

// wealthGuard is a plugin that looks at every version as it is published.
type wealthGuard struct {
	mu       sync.Mutex // guards what follows
	versions int
	wrong    []string
}

func (*wealthGuard) Name() string                                { return "guard" }
func (*wealthGuard) Start(context.Context, *core.Registry) error { return nil }
func (*wealthGuard) Shutdown(context.Context) error              { return nil }

// Published implements [core.PublishObserver].
func (g *wealthGuard) Published(v *live.View, e *live.Event) {
	if v.Name() == "purses" {
		return
	}
	total := int64(0)
	for r := range v.Snapshot().Rows() {
		var w wealth
		if err := json.Unmarshal(r.JSON(), &w); err != nil {
			panic(err)
		}
		total += w.Purse + w.Chest
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.versions++
	if total != owners*hoard {
		g.wrong = append(g.wrong, fmt.Sprintf("%s at version %d: %d", v.Name(), e.Version.Seq, total))
	}
}
