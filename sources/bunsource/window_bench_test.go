package bunsource_test

import (
	"fmt"
	"io"
	"log/slog"
	"testing"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/sources/bunsource"
)

// BenchmarkWindow writes one row of 100,000 in SQLite, through hooks that wait
// until it shows in the twenty cheapest. Beyond them and their margin nothing is to
// be done, among them one row is moved; the comparison is a binding that asks
// for the first twenty at every change, because only the database knows its
// filter.
func BenchmarkWindow(b *testing.B) {
	const rows, limit = 100_000, 20
	twenty := []core.Option{core.OrderBy("price"), core.Limit(limit)}
	inside := func(i int) (id, price int) { return i % limit, i % limit * 3 } // never equal to what is there twice in a row
	for _, c := range []struct {
		name   string
		opts   []core.Option // nil: no binding
		change func(i int) (id, price int)
	}{
		{"write alone", nil, func(i int) (id, price int) { return rows/2 + i%1000, rows/2 + i }},
		{"outside", twenty, func(i int) (id, price int) { return rows/2 + i%1000, rows/2 + i }},
		{"inside", twenty, func(i int) (id, price int) {
			id, price = inside(i)
			return id, price + i/limit%2
		}},
		{"query again", append(twenty[:2:2], bunsource.Where(func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("shelf = 0") })), func(i int) (id, price int) {
			return rows/2 + i%1000, rows/2 + i
		}},
	} {
		for _, indexed := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s/indexed=%v", c.name, indexed), func(b *testing.B) {
				db, plain := openSQLite(b)
				setUp := func(query string) {
					if _, err := plain.ExecContext(b.Context(), query); err != nil {
						b.Fatal(err)
					}
				}
				setUp("CREATE TABLE products (id BIGINT PRIMARY KEY, name TEXT, price BIGINT NOT NULL, shelf BIGINT NOT NULL)")
				setUp(fmt.Sprintf("INSERT INTO products (id, price, shelf) WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n+1 FROM s WHERE n < %d) SELECT n, n*3, 0 FROM s", rows-1))
				if indexed {
					setUp("CREATE INDEX by_price ON products (price, id)")
				}
				writer := plain
				if c.opts != nil {
					writer = db
					reg := core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), WatchWait: patience, LoadWait: patience}.NewRegistry()
					_ = reg.Add(bunsource.Bind[product](db, "cheapest", c.opts...))
					_ = reg.Watch(bunsource.Hooks(db))
					if err := reg.Start(b.Context()); err != nil {
						b.Fatal(err)
					}
					b.Cleanup(func() { shutdown(b, reg) })
				}
				i := 0
				for b.Loop() {
					id, price := c.change(i)
					i++
					if _, err := writer.NewUpdate().Model(&product{ID: int64(id)}).Set("price = ?", price).WherePK().Exec(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
