package pgsource_test

import (
	"context"
	"database/sql"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/pgsource"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

const (
	accounts = 200
	total    = accounts * 100
	patient  = 60 * time.Second // no test takes that long, unless it fails
)

type account struct {
	bun.BaseModel `bun:"table:accounts"`
	ID            int   `bun:",pk"`
	Amount        int64 `bun:",notnull"`
}

// auditor looks at every version of the binding that anybody could see.
type auditor struct {
	b         *core.Binding[account]
	seen, bad atomic.Int64
}

func (*auditor) Name() string                                { return "auditor" }
func (*auditor) Start(context.Context, *core.Registry) error { return nil }
func (*auditor) Shutdown(context.Context) error              { return nil }
func (a *auditor) Published(*live.View, *live.Event) {
	sum := int64(0)
	for acc := range a.b.All() {
		sum += acc.Amount
	}
	a.seen.Add(1)
	if sum != total {
		a.bad.Add(1)
	}
}

// way is one of the two that the package has to learn of commits.
type way struct {
	name string
	// prepare makes what the source needs, when the tables are there.
	prepare func(t testing.TB, dsn string)
	open    func(dsn string) driver.Source
	// link has the server end the connection by which the source learns first.
	link string
}

var ways = []way{
	{
		name:    "log",
		prepare: func(testing.TB, string) {},
		open:    func(dsn string) driver.Source { return pgsource.New(dsn) },
		link:    "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active",
	},
	{
		name: "triggers",
		prepare: func(t testing.TB, dsn string) {
			t.Helper()
			if err := (pgsource.Outbox{}).Install(t.Context(), dsn, driver.Table{Name: "accounts"}); err != nil {
				t.Fatal(err)
			}
		},
		open: func(dsn string) driver.Source { return pgsource.NewTriggers(dsn) },
		link: `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN "bindery"'`,
	},
}

// bank is a registry that shows the accounts of a database which others write.
type bank struct {
	dsn     string
	db      *bun.DB
	reg     *core.Registry
	b       *core.Binding[account]
	auditor *auditor
}

func newBank(t testing.TB, w way, dsn string) *bank {
	t.Helper()
	sqldb, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sqldb.Close() })
	db := bun.NewDB(sqldb, pgdialect.New())
	for _, s := range []string{
		"CREATE TABLE accounts (id int PRIMARY KEY, amount bigint NOT NULL)",
		"INSERT INTO accounts SELECT i, 100 FROM generate_series(1, 200) i",
	} {
		if _, err := sqldb.ExecContext(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	w.prepare(t, dsn)
	k := &bank{dsn: dsn, db: db, b: bunsource.Bind[account](db, "accounts")}
	k.auditor = &auditor{b: k.b}
	k.reg = core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), LoadWait: -1}.NewRegistry()
	if err := k.reg.Add(k.b, bunsource.Bind[account](db, "rich", core.Where(filter.Gt("amount", 100)))); err != nil {
		t.Fatal(err)
	}
	if err := k.reg.Watch(w.open(dsn)); err != nil {
		t.Fatal(err)
	}
	if err := k.reg.Use(onlyFor{k.auditor}); err != nil {
		t.Fatal(err)
	}
	if err := k.reg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patient)
		defer cancel()
		if err := k.reg.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	k.until(t, "the binding is live", func() bool { return k.b.Status().State == status.Live })
	return k
}

// onlyFor looks at the versions of the auditor's binding alone.
type onlyFor struct{ *auditor }

func (o onlyFor) Published(v *live.View, e *live.Event) {
	if v.Name() == o.b.Name() {
		o.auditor.Published(v, e)
	}
}

func (k *bank) until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patient); !cond(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s; %+v", what, k.b.Status())
		}
	}
}

// transfer runs transfers, each in a transaction of its own, until ctx is done.
// Failures are the weather of the tests below. mode is a synchronous_commit.
func (k *bank) transfer(ctx context.Context, mode string) {
	for ctx.Err() == nil {
		conn, err := pgx.Connect(ctx, k.dsn)
		if err != nil {
			continue
		}
		_, err = conn.Exec(ctx, "SET synchronous_commit = "+mode)
		for err == nil && ctx.Err() == nil {
			err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
				from, to := rand.IntN(accounts)+1, rand.IntN(accounts)+1
				if from > to { // in one order, so that there are no deadlocks
					from, to = to, from
				}
				amount := rand.IntN(21) - 10
				for _, m := range []struct{ id, amount int }{{from, -amount}, {to, amount}} {
					if _, err := tx.Exec(ctx, "UPDATE accounts SET amount = amount + $1 WHERE id = $2", m.amount, m.id); err != nil {
						return err
					}
				}
				return nil
			})
		}
		_ = conn.Close(context.Background())
	}
}

// converge waits until the binding shows what the database holds.
func (k *bank) converge(t *testing.T) {
	t.Helper()
	k.until(t, "the binding equals its table", func() bool {
		rows := make(map[int]int64)
		var all []account
		if err := k.db.NewSelect().Model(&all).Scan(t.Context()); err != nil {
			return false
		}
		for _, a := range all {
			rows[a.ID] = a.Amount
		}
		n := 0
		for a := range k.b.All() {
			if n++; rows[a.ID] != a.Amount {
				return false
			}
		}
		return n == len(all)
	})
	if bad := k.auditor.bad.Load(); bad > 0 {
		t.Errorf("%d of %d versions have another total", bad, k.auditor.seen.Load())
	}
}

// Amounts move between rows by writers that Bindery knows nothing of, and every
// version has the same total.
func TestEveryVersionIsAState(t *testing.T) {
	for _, c := range []struct {
		w    way
		mode string
	}{{ways[0], "on"}, {ways[0], "off"}, {ways[1], "on"}} {
		w, mode := c.w, c.mode
		t.Run(w.name+", synchronous_commit="+mode, func(t *testing.T) {
			k := newBank(t, w, pgtest.Shared(t).CreateDatabase(t))
			// A transaction that stays open, and has written: what it wrote is
			// not flushed, and the log does not come as far as it was written.
			idle, err := pgx.Connect(t.Context(), k.dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer idle.Close(context.Background())
			if _, err := idle.Exec(t.Context(), "BEGIN; CREATE TABLE idle AS SELECT 1"); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			var writers sync.WaitGroup
			for range 4 {
				writers.Go(func() { k.transfer(ctx, mode) })
			}
			k.until(t, "enough versions were seen", func() bool { return k.auditor.seen.Load() > 150 })
			stop()
			writers.Wait()
			k.converge(t)
			var reads, whole, behind uint64
			for _, f := range k.reg.Status().Tables {
				reads, whole, behind = f.Reads, f.WholeReads, f.Behind
			}
			t.Logf("%d versions, %d reads, %d of them whole, %d behind", k.auditor.seen.Load(), reads, whole, behind)
			if behind > reads/10 {
				t.Errorf("%d of %d reads were of the whole table since the log was not caught up with", behind, reads)
			}
		})
	}
}

// Connections break, the server is killed, and nothing is missed nor torn.
func TestFaults(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) { testFaults(t, w) })
	}
}

func testFaults(t *testing.T, w way) {
	server := pgtest.Start(t)
	k := newBank(t, w, server.CreateDatabase(t))
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for range 2 {
		writers.Go(func() { k.transfer(ctx, "on") })
	}
	admin := func(statement string) {
		conn, err := pgx.Connect(t.Context(), k.dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	// The writers go on meanwhile: what they wrote unseen must show in the end.
	heal := func(fault string) {
		t.Helper()
		k.until(t, "the source watches again after "+fault, func() bool { return k.b.Status().State == status.Live })
		seen := k.auditor.seen.Load()
		k.until(t, "versions come again after "+fault, func() bool { return k.auditor.seen.Load() > seen+5 })
	}
	for _, f := range []struct{ fault, statement string }{
		{"the connection that tells first was terminated", w.link},
		{"the asking connection was terminated", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'bindery pgsource' AND backend_type = 'client backend'"},
		{"all connections were terminated", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"},
	} {
		failures := k.failures()
		admin(f.statement)
		k.until(t, f.fault, func() bool { return k.failures() > failures })
		heal(f.fault)
	}
	failures := k.failures()
	server.Kill(t)
	k.until(t, "the server's end is noticed", func() bool { return k.failures() > failures })
	server.Restart(t)
	heal("the server was killed and restarted")
	stop()
	writers.Wait()
	k.converge(t)

	slots := func() string { return server.Exec(t, "postgres", "SELECT count(*) FROM pg_replication_slots") }
	if got := slots(); w.name == "log" && got != "1" {
		t.Errorf("%s replication slots while watching, want 1", got)
	}
	shut, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	if err := k.reg.Shutdown(shut); err != nil {
		t.Error(err)
	}
	k.until(t, "no slot is left behind", func() bool { return slots() == "0" })
}

func (k *bank) failures() uint64 { return k.reg.Status().Sources[0].Failures }
