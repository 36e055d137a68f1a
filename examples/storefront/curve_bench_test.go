package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

var (
	curveEvery = flag.Duration("storefront.every", 300*time.Millisecond, "how often the benchmarks of the curve write")
	curveRows  = flag.String("storefront.rows", "1000,10000", "the numbers of rows of the benchmarks of the curve")
)

// curveSizes are the numbers of rows.
func curveSizes(b *testing.B) (sizes []int) {
	for _, s := range strings.Split(*curveRows, ",") {
		var n int
		if _, err := fmt.Sscan(s, &n); err != nil {
			b.Fatal(err)
		}
		sizes = append(sizes, n)
	}
	return sizes
}

// BenchmarkPatch changes a product over HTTP every 0.3 seconds, in shops of many
// sizes, with the polls of the shop beside: p50 and worst are times of one
// PATCH, cpu is that of the whole process for each.
//
//	go test ./examples/storefront -run '^$' -bench Patch -benchtime 60x -storefront.rows 1000,300000,1000000 -timeout 1h
func BenchmarkPatch(b *testing.B) {
	for _, kind := range []string{"sqlite", "postgres"} {
		for _, rows := range curveSizes(b) {
			b.Run(fmt.Sprintf("%s/rows=%d", kind, rows), func(b *testing.B) {
				s := openCurve(b, kind, rows)
				times := make([]time.Duration, 0, b.N)
				for range 3 { // warm
					s.patch(b)
				}
				runtime.GC()
				begun, cpu := time.Now(), cpuTime()
				b.ResetTimer()
				for i := range b.N {
					time.Sleep(time.Until(begun.Add(time.Duration(i) * *curveEvery)))
					times = append(times, s.patch(b))
				}
				b.StopTimer()
				slices.Sort(times)
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "p50-ms")
				b.ReportMetric(float64(times[len(times)-1].Microseconds())/1000, "worst-ms")
				b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/1000/float64(b.N), "cpu-ms/op")
			})
		}
	}
}

// BenchmarkIdle is the CPU of a shop in which nothing happens.
func BenchmarkIdle(b *testing.B) {
	for _, kind := range []string{"sqlite", "postgres"} {
		for _, rows := range curveSizes(b) {
			b.Run(fmt.Sprintf("%s/rows=%d", kind, rows), func(b *testing.B) {
				openCurve(b, kind, rows)
				time.Sleep(2 * time.Second)
				runtime.GC()
				begun, cpu := time.Now(), cpuTime()
				b.ResetTimer()
				time.Sleep(time.Duration(b.N) * 100 * time.Millisecond)
				b.StopTimer()
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(100*float64(cpuTime()-cpu)/float64(time.Since(begun)), "%cpu")
			})
		}
	}
}

// BenchmarkForeign is the time from the commit of another connection pool, which
// the shop knows nothing of, until the shop shows it.
func BenchmarkForeign(b *testing.B) {
	for _, rows := range curveSizes(b) {
		b.Run(fmt.Sprintf("sqlite/rows=%d", rows), func(b *testing.B) {
			s := openCurve(b, "sqlite", rows)
			db, err := sql.Open("sqlite", "file:"+s.path+"?_pragma=busy_timeout(60000)")
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			view, _ := s.shop.registry.Lookup("products")
			times := make([]time.Duration, 0, b.N)
			b.ResetTimer()
			for i := range b.N {
				before := view.Version().Token
				if _, err := db.ExecContext(b.Context(), "UPDATE products SET price = ? WHERE id = 1", 10+i%5000); err != nil {
					b.Fatal(err)
				}
				begun := time.Now()
				for view.Version().Token == before {
					time.Sleep(200 * time.Microsecond)
				}
				times = append(times, time.Since(begun))
				time.Sleep(*curveEvery)
			}
			b.StopTimer()
			slices.Sort(times)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(times[len(times)-1].Microseconds())/1000, "worst-ms")
		})
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// curve is a shop of a given size.
type curve struct {
	shop *shop
	path string
	url  string
	n    int
}

func openCurve(b *testing.B, kind string, rows int) *curve {
	b.Helper()
	c := &curve{}
	var database *database
	var err error
	if kind == "sqlite" {
		c.path = filepath.Join(b.TempDir(), "shop.db")
		database, err = openSQLite(c.path)
	} else {
		database, err = openPostgres(pgtest.Shared(b).CreateDatabase(b))
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { database.close() })
	if err := prepareDatabase(b.Context(), database.db, 0); err != nil {
		b.Fatal(err)
	}
	series := fmt.Sprintf("generate_series(1, %d) AS s(i)", rows)
	if kind == "sqlite" {
		series = fmt.Sprintf("(WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < %d) SELECT i FROM s)", rows)
	}
	_, err = database.db.DB.ExecContext(b.Context(), `INSERT INTO products (name, venue, price, active)
		SELECT 'Artist '||i||' – Album '||i||' (LP)', CASE WHEN i % 2 = 0 THEN 'store' ELSE 'online' END, 5 + i % 40, i % 10 <> 5 FROM `+series)
	if err != nil {
		b.Fatal(err)
	}
	if kind == "postgres" {
		if _, err := database.db.DB.ExecContext(b.Context(), "VACUUM ANALYZE products"); err != nil {
			b.Fatal(err)
		}
	}
	c.shop = newShop(database, nil, settings{adminToken: adminToken, rows: rows})
	begun := time.Now()
	if err := c.shop.registry.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	for _, v := range c.shop.registry.Views() {
		<-v.Loaded()
	}
	b.Logf("%s with %d rows: loaded after %v", kind, rows, time.Since(begun))
	served := make(chan error, 1)
	go func() { served <- c.shop.echo.Start("127.0.0.1:0") }()
	for c.shop.echo.ListenerAddr() == nil {
		time.Sleep(time.Millisecond)
	}
	c.url = "http://" + c.shop.echo.ListenerAddr().String()
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := c.shop.registry.Shutdown(ctx); err != nil {
			b.Error(err)
		}
		if err := c.shop.echo.Shutdown(ctx); err != nil {
			b.Error(err)
		}
		<-served
		http.DefaultClient.CloseIdleConnections()
	})
	return c
}

// patch changes a product, and returns how long that took.
func (c *curve) patch(b *testing.B) time.Duration {
	b.Helper()
	c.n++
	body := fmt.Sprintf(`{"price": %d.5}`, 5+c.n%90)
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPatch, fmt.Sprintf("%s/api/products/%d", c.url, 1+c.n%4), strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	begun := time.Now()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	took := time.Since(begun)
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		b.Fatalf("PATCH answered %s", res.Status)
	}
	return took
}
