package bunsource_test

import (
	"fmt"
	"io"
	"log/slog"
	"testing"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/sources/bunsource"
)

// BenchmarkFamily changes one row through Bun, which returns when the members
// that the row leaves and comes to show it, while others are alive. Row i is at
// price i, and a member for each price, or each two that follow on each other.
func BenchmarkFamily(b *testing.B) {
	for _, c := range []struct {
		name  string
		where filter.Expr
		args  func(i int) core.Args
	}{
		{"equality", filter.Eq("price", filter.Param("price")), func(i int) core.Args { return core.Args{"price": i} }},
		{"range", filter.Between("price", filter.Param("lo"), filter.Param("hi")), func(i int) core.Args {
			return core.Args{"lo": i, "hi": i + 1}
		}},
	} {
		for _, members := range []int{10, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", c.name, members), func(b *testing.B) {
				const rows = 100_000
				db, plain := openSQLite(b)
				for _, query := range []string{
					"CREATE TABLE products (id BIGINT PRIMARY KEY, name TEXT, price BIGINT NOT NULL, shelf BIGINT NOT NULL)",
					fmt.Sprintf("INSERT INTO products (id, price, shelf) WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n+1 FROM s WHERE n < %d) SELECT n, n, 0 FROM s", rows-1),
				} {
					if _, err := plain.ExecContext(b.Context(), query); err != nil {
						b.Fatal(err)
					}
				}
				reg := core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), WatchWait: patience}.NewRegistry()
				_ = reg.Add(bunsource.BindFamily[product](db, "family", core.Where(c.where), core.Tune(core.Tuning{MaxMembers: members})))
				_ = reg.Watch(bunsource.Hooks(db))
				if err := reg.Start(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { shutdown(b, reg) })
				grants := make([]*core.Grant, members)
				for i := range grants {
					g, err := reg.Open(b.Context(), "family", c.args(i))
					if err != nil {
						b.Fatal(err)
					}
					grants[i] = g
				}
				for _, g := range grants {
					<-g.View().Loaded()
				}
				i := 0
				for b.Loop() {
					i++
					if _, err := db.NewUpdate().Model(&product{ID: 1}).Set("price = ?", i*7919%members).WherePK().Exec(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
