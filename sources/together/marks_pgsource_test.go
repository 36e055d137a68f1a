package together_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/pgsource"
	"github.com/binderyhq/bindery/sources/pollsource"
)

// installTriggers has the counters recorded.
func installTriggers(t testing.TB, dsn string) {
	t.Helper()
	must(t, pgsource.Outbox{}.Install(t.Context(), dsn, driver.Table{Name: "counters"}))
}

// TestMarksCrossPostgresNodes: nodes on one Postgres understand each other's marks,
// however they learn of commits, and never say yes too early.
func TestMarksCrossPostgresNodes(t *testing.T) {
	for name, sources := range map[string]func(dsn string) []driver.Source{
		"log": func(dsn string) []driver.Source { return []driver.Source{pgsource.New(dsn), pgsource.New(dsn)} },
		"triggers": func(dsn string) []driver.Source {
			return []driver.Source{pgsource.NewTriggers(dsn), pgsource.NewTriggers(dsn)}
		},
		"both": func(dsn string) []driver.Source { return []driver.Source{pgsource.New(dsn), pgsource.NewTriggers(dsn)} },
	} {
		t.Run(name, func(t *testing.T) {
			dsn := postgresDSN(t)
			hooked, plain := openBoth(t, "pgx", dsn)
			createCounters(t, plain)
			if name != "log" {
				installTriggers(t, dsn)
			}
			two := sources(dsn)
			a := openMarkNode(t, hooked, nil, bunsource.Hooks(hooked), two[0])
			b := openMarkNode(t, plain, nil, two[1])
			neverAWrongYes(t, []*bun.DB{hooked, plain}, a, b)
		})
	}
}

// TestMarksOfPostgresPolls: without the log a node's own marks hold, also for what
// others write, and other nodes say that they do not understand them.
func TestMarksOfPostgresPolls(t *testing.T) {
	dsn := postgresDSN(t)
	hooked, plain := openBoth(t, "pgx", dsn)
	createCounters(t, plain)
	a := openMarkNode(t, hooked, nil, bunsource.Hooks(hooked), pollsource.New(time.Hour, pollsource.XMin(hooked, 0)))
	b := openMarkNode(t, plain, nil, pollsource.New(time.Hour, pollsource.XMin(plain, 0)))
	neverAWrongYes(t, []*bun.DB{hooked, plain}, a)
	mark := a.mark(t)
	if err := b.reg.Reach(t.Context(), mark); !errors.Is(err, core.ErrForeignMark) {
		t.Errorf("another node: %v", err)
	}
}

// TestMarksOfOtherHistories: a mark is understood after a restart, since the log backs
// it, but not on another database of the server, nor on another server.
func TestMarksOfOtherHistories(t *testing.T) {
	dsn, otherDSN := postgresDSN(t), postgresDSN(t)
	open := func(dsn string, create bool) *markNode {
		plain := openPlain(t, "pgx", dsn)
		if create {
			createCounters(t, plain)
		}
		return openMarkNode(t, plain, nil, pgsource.New(dsn))
	}
	a, elsewhere := open(dsn, true), open(otherDSN, true)
	mark := a.mark(t)
	shutdown(t, a.reg)
	again := open(dsn, false)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := again.reg.Reach(ctx, mark); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if err := elsewhere.reg.Reach(ctx, mark); !errors.Is(err, core.ErrForeignMark) {
		t.Errorf("another database: %v", err)
	}
}

// TestMarkBesideAnOpenTransaction: nobody waits for a transaction that is open, and
// its commit is covered by marks that are made afterwards.
func TestMarkBesideAnOpenTransaction(t *testing.T) {
	dsn := postgresDSN(t)
	plain := openPlain(t, "pgx", dsn)
	createCounters(t, plain)
	a, b := openMarkNode(t, plain, nil, pgsource.New(dsn)), openMarkNode(t, openPlain(t, "pgx", dsn), nil, pgsource.New(dsn))
	tx, err := plain.BeginTx(t.Context(), nil)
	must(t, err)
	_, err = tx.NewUpdate().Model(&counter{ID: 1, Value: 7}).WherePK().Exec(t.Context())
	must(t, err)
	_, err = plain.NewUpdate().Model(&counter{ID: 2, Value: 8}).WherePK().Exec(t.Context())
	must(t, err)
	mark := a.mark(t)
	must(t, b.check(t.Context(), mark, map[int64]int64{2: 8}))
	must(t, tx.Commit())
	mark = a.mark(t)
	must(t, b.check(t.Context(), mark, map[int64]int64{1: 7, 2: 8}))
}

// BenchmarkReadAcrossPostgresNodes is a write on one node and a read on another that
// bears its mark, over loopback.
func BenchmarkReadAcrossPostgresNodes(b *testing.B) {
	for name, source := range map[string]func(dsn string) driver.Source{
		"log":      func(dsn string) driver.Source { return pgsource.New(dsn) },
		"triggers": func(dsn string) driver.Source { return pgsource.NewTriggers(dsn) },
	} {
		b.Run(name, func(b *testing.B) {
			dsn := postgresDSN(b)
			hooked, plain := openBoth(b, "pgx", dsn)
			createCounters(b, plain)
			if name == "triggers" {
				installTriggers(b, dsn)
			}
			a := openMarkNode(b, hooked, nil, bunsource.Hooks(hooked), source(dsn))
			writeReadLatency(b, a, openMarkNode(b, plain, nil, source(dsn)))
		})
	}
}

// percentiles reports the median and the 99th percentile.
func percentiles(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}
