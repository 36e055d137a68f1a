package together_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/pgsource"
	"github.com/binderyhq/bindery/sources/pollsource"
	"github.com/binderyhq/bindery/sources/sqlitesource"
)

const (
	benchRows = 1000
	// benchPoll is the interval of polls in the benchmarks.
	benchPoll = 10 * time.Millisecond
)

// benched is a database with a source: db binds, and writer writes.
type benched struct {
	db, writer *bun.DB
	source     driver.Source
	// interval is what the source waits between two looks, 0 when it is told.
	interval time.Duration
	// prepare, when set, is called when the table is there.
	prepare func()
}

// benchSources are the sources to measure. Writers do not wait for bindings.
var benchSources = []struct {
	name string
	open func(b *testing.B) benched
}{
	{"sqlite/hooks", func(b *testing.B) benched {
		db, _ := openSQLite(b)
		return benched{db: db, writer: db, source: bunsource.Hooks(db, bunsource.HooksConfig{Async: true})}
	}},
	{"sqlite/sqlitesource", func(b *testing.B) benched {
		source, err := sqlitesource.New(sqliteDSN(b), sqlitesource.Config{Async: true, Interval: -1})
		must(b, err)
		sqldb := sql.OpenDB(source.Connector())
		b.Cleanup(func() { must(b, sqldb.Close()) })
		db := bun.NewDB(sqldb, sqlitedialect.New())
		return benched{db: db, writer: db, source: source}
	}},
	{"sqlite/poll DataVersion", func(b *testing.B) benched {
		db, plain := openSQLite(b)
		return benched{db: db, writer: plain, source: pollsource.New(benchPoll, pollsource.DataVersion(db)), interval: benchPoll}
	}},
	{"postgres/hooks", func(b *testing.B) benched {
		db, _ := openPostgres(b)
		return benched{db: db, writer: db, source: bunsource.Hooks(db, bunsource.HooksConfig{Async: true})}
	}},
	{"postgres/pgsource", func(b *testing.B) benched {
		dsn := postgresDSN(b)
		db, writer := openPlain(b, "pgx", dsn), openPlain(b, "pgx", dsn)
		return benched{db: db, writer: writer, source: pgsource.New(dsn)}
	}},
	{"postgres/pgsource triggers", func(b *testing.B) benched {
		dsn := postgresDSN(b)
		db, writer := openPlain(b, "pgx", dsn), openPlain(b, "pgx", dsn)
		return benched{db: db, writer: writer, source: pgsource.NewTriggers(dsn), prepare: func() {
			must(b, pgsource.Outbox{}.Install(b.Context(), dsn, driver.Table{Name: "things"}))
		}}
	}},
	{"postgres/poll XMin", func(b *testing.B) benched {
		db, plain := openPostgres(b)
		return benched{db: db, writer: plain, source: pollsource.New(benchPoll, pollsource.XMin(db, 0)), interval: benchPoll}
	}},
}

// begin fills the table and returns a registry whose binding is live.
func (m *benched) begin(b *testing.B) (*core.Registry, *core.Binding[thing]) {
	b.Helper()
	_, err := m.writer.NewCreateTable().Model((*thing)(nil)).Exec(b.Context())
	must(b, err)
	if m.prepare != nil {
		m.prepare()
	}
	rows := make([]thing, benchRows)
	for i := range rows {
		rows[i] = thing{ID: int64(i), Name: fmt.Sprintf("a name of some length, number %d", i)}
	}
	_, err = m.writer.NewInsert().Model(&rows).Exec(b.Context())
	must(b, err)
	m.writer.SetMaxIdleConns(10)
	binding := bunsource.Bind[thing](m.db, "things")
	reg := core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}.NewRegistry()
	must(b, reg.Add(binding))
	must(b, reg.Watch(m.source))
	must(b, reg.Start(b.Context()))
	b.Cleanup(func() { shutdown(b, reg) })
	eventually(b, "the binding is live", func() error {
		if s := binding.Status(); s.State != status.Live {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	return reg, binding
}

// set writes one row, as a statement of its own.
func (m *benched) set(ctx context.Context, id, price int64) error {
	_, err := m.writer.NewUpdate().Model(&thing{ID: id, Price: price}).Column("price").WherePK().Exec(ctx)
	return err
}

// BenchmarkCommitToVisible measures how long it takes from the return of a
// write, one row at a time, until a subscriber has the event.
func BenchmarkCommitToVisible(b *testing.B) {
	for _, s := range benchSources {
		b.Run(s.name, func(b *testing.B) {
			m := s.open(b)
			_, binding := m.begin(b)
			sub := binding.Subscribe(live.SubscribeOptions{})
			defer sub.Close()
			_, err := sub.Next(b.Context())
			must(b, err)
			var took []time.Duration
			for n := int64(1); b.Loop(); n++ {
				if m.interval > 0 { // a write comes at any time between two looks
					time.Sleep(rand.N(m.interval))
				}
				must(b, m.set(b.Context(), n%benchRows, n))
				committed := time.Now()
				for seen := false; !seen; {
					e, err := sub.Next(b.Context())
					must(b, err)
					seen = slices.ContainsFunc(e.Updated, func(r live.Row) bool { return r.Key() == driver.KeyOf(n%benchRows) })
				}
				took = append(took, time.Since(committed))
			}
			slices.Sort(took)
			var sum time.Duration
			for _, d := range took {
				sum += d
			}
			b.ReportMetric(float64(sum)/float64(len(took)), "ns/op")
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}

// BenchmarkSaturated measures writers who do nothing but write, one row in each
// transaction, and what then reaches the bindings and the database.
func BenchmarkSaturated(b *testing.B) {
	const writers = 4
	for _, s := range benchSources {
		b.Run(s.name, func(b *testing.B) {
			m := s.open(b)
			reg, binding := m.begin(b)
			before := reg.Status().Tables[0]
			var wg sync.WaitGroup
			var next atomic.Int64
			b.ResetTimer()
			for range writers {
				wg.Go(func() {
					for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
						if err := m.set(b.Context(), n%benchRows, n); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			written := b.Elapsed()
			at := reg.Status().Tables[0]
			var sum int64
			must(b, m.writer.NewSelect().Model((*thing)(nil)).ColumnExpr("sum(price)").Scan(b.Context(), &sum))
			eventually(b, "the binding shows it all", func() error {
				var shown int64
				for t := range binding.All() {
					shown += t.Price
				}
				if shown != sum {
					return fmt.Errorf("the sum is %d, want %d", shown, sum)
				}
				return nil
			})
			caughtUp := b.Elapsed() - written
			b.ReportMetric(float64(b.N)/written.Seconds(), "rows/s")
			b.ReportMetric(float64(at.Reads-before.Reads)/written.Seconds(), "reads/s")
			if keyed := at.Reads - before.Reads - (at.WholeReads - before.WholeReads); keyed > 0 {
				b.ReportMetric(float64(at.BatchKeys-before.BatchKeys)/float64(keyed), "keys/read")
			}
			b.ReportMetric(float64(at.WholeReads-before.WholeReads)/written.Seconds(), "whole-reads/s")
			b.ReportMetric(float64(caughtUp.Microseconds())/1000, "lag-ms")
		})
	}
}
