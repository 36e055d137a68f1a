package pgsource_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/sources/pgsource"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

// BenchmarkCommitToVisible measures how long it takes from the return of a
// write, one row at a time, until a subscriber has the event.
func BenchmarkCommitToVisible(b *testing.B) {
	for _, w := range ways {
		b.Run(w.name, func(b *testing.B) {
			k := newBank(b, w, pgtest.Shared(b).CreateDatabase(b))
			conn := dial(b, k.dsn)
			sub := k.b.Subscribe(live.SubscribeOptions{})
			defer sub.Close()
			if _, err := sub.Next(b.Context()); err != nil {
				b.Fatal(err)
			}
			var took []time.Duration
			for n := 0; b.Loop(); n++ {
				id := n%accounts + 1
				if _, err := conn.Exec(b.Context(), "UPDATE accounts SET amount = amount + 1 WHERE id = $1", id); err != nil {
					b.Fatal(err)
				}
				committed := time.Now()
				for seen := false; !seen; {
					e, err := sub.Next(b.Context())
					if err != nil {
						b.Fatal(err)
					}
					seen = slices.ContainsFunc(e.Updated, func(r live.Row) bool { return r.Key() == driver.KeyOf(id) })
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

// BenchmarkTriggers measures what triggers cost a writer, while a source reads
// what they record, and while nobody does.
func BenchmarkTriggers(b *testing.B) {
	const rows = 10_000
	for _, c := range []struct {
		name   string
		outbox *pgsource.Outbox
		read   bool
	}{
		{"none", nil, false},
		{"for each statement", &pgsource.Outbox{}, true},
		{"for each statement, silent", &pgsource.Outbox{Silent: true}, true},
		{"for each row", &pgsource.Outbox{RowTriggers: true}, true},
		{"for each statement, nobody reads", &pgsource.Outbox{}, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			dsn := pgtest.Shared(b).CreateDatabase(b)
			conn := dial(b, dsn)
			exec := func(b *testing.B, statement string, args ...any) {
				b.Helper()
				if _, err := conn.Exec(b.Context(), statement, args...); err != nil {
					b.Fatal(err)
				}
			}
			exec(b, "CREATE TABLE accounts (id int PRIMARY KEY, amount bigint NOT NULL)")
			exec(b, fmt.Sprintf("INSERT INTO accounts SELECT i, 0 FROM generate_series(1, %d) i", rows))
			if c.outbox != nil {
				if err := c.outbox.Install(b.Context(), dsn, driver.Table{Name: "accounts"}); err != nil {
					b.Fatal(err)
				}
			}
			if c.read {
				reg := core.NewRegistry()
				if err := reg.Watch(pgsource.NewTriggers(dsn)); err != nil {
					b.Fatal(err)
				}
				if err := reg.Start(b.Context()); err != nil {
					b.Fatal(err)
				}
				defer func() { _ = reg.Shutdown(context.Background()) }() // nothing depends on it
			}
			b.Run("one row", func(b *testing.B) {
				for n := 0; b.Loop(); n++ {
					exec(b, "UPDATE accounts SET amount = amount + 1 WHERE id = $1", n%rows+1)
				}
			})
			b.Run("1000 rows", func(b *testing.B) {
				for n := 0; b.Loop(); n++ {
					exec(b, "UPDATE accounts SET amount = amount + 1 WHERE id BETWEEN $1 AND $1 + 999", n%9*1000+1)
				}
			})
			b.Run("10000 rows", func(b *testing.B) {
				for b.Loop() {
					exec(b, "UPDATE accounts SET amount = amount + 1")
				}
			})
		})
	}
}

func dial(b testing.TB, dsn string) *pgx.Conn {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close(context.Background()) }) // nothing depends on it
	return conn
}
