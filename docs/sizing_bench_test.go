package docs

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/transports/rest"
)

// Stock is a row of some columns and a text, of which it mostly consists.
type Stock struct {
	bun.BaseModel `bun:"table:stock"`

	ID    int64  `bun:"id,pk"         json:"id"`
	Venue int    `bun:"venue,notnull" json:"venue"`
	Price int    `bun:"price,notnull" json:"price"`
	Text  string `bun:"text,notnull"  json:"text"`
}

// used returns what the process holds: heap in use, and stacks.
func used() float64 {
	runtime.GC()
	runtime.GC() // what pools held is gone after the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}

// BenchmarkSizing measures what docs/operations.md sizes by. One iteration of each
// is enough; they report bytes, and the time means nothing.
//
//	go test ./docs -run '^$' -bench Sizing -benchtime 1x
func BenchmarkSizing(b *testing.B) {
	const rows = 50_000
	for _, text := range []int{50, 350} {
		b.Run(fmt.Sprintf("row/text=%d", text), func(b *testing.B) {
			for b.Loop() {
				sizeRows(b, rows, text)
			}
		})
	}
	b.Run("held", func(b *testing.B) {
		for b.Loop() {
			sizeHeld(b, 1000)
		}
	})
}

// stock opens a database with so many rows.
func stock(b *testing.B, rows, text int) *bun.DB {
	b.Helper()
	db, err := bunsource.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "stock.sqlite")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)", sqlitedialect.New())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	if _, err := db.NewCreateTable().Model((*Stock)(nil)).Exec(b.Context()); err != nil {
		b.Fatal(err)
	}
	_, err = db.ExecContext(b.Context(), `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		INSERT INTO stock SELECT i, i % 100, i * 7919 % 10007, substr(hex(randomblob(?)), 1, ?) FROM n`, rows, text, text)
	if err != nil {
		b.Fatal(err)
	}
	return db
}

// serving starts a registry with the bindings, and returns it with its routes.
func serving(b *testing.B, db *bun.DB, bindings ...core.Bindable) (*echo.Echo, *core.Registry, func()) {
	b.Helper()
	e, reg := echo.New(), core.Config{MemoryBudget: -1}.NewRegistry()
	reg.Add(bindings...)
	reg.Watch(bunsource.Hooks(db))
	reg.Serve(rest.New(e.Group("/api"), rest.Config{MaxWaiting: 100_000}))
	if err := reg.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	return e, reg, func() { _ = reg.Shutdown(context.Background()) }
}

func sizeRows(b *testing.B, rows, text int) {
	db := stock(b, rows, text)
	measure := func(bindings ...core.Bindable) (perRow, accounted, encoded float64) {
		before := used()
		_, reg, end := serving(b, db, bindings...)
		perRow = (used() - before) / float64(rows)
		status := reg.Status()
		accounted = float64(status.Memory.Total) / float64(rows)
		encoded = float64(status.Bindings[0].Bytes) / float64(rows)
		end()
		return perRow, accounted, encoded
	}
	one, accounted, encoded := measure(bunsource.Bind[Stock](db, "one"))
	two, _, _ := measure(bunsource.Bind[Stock](db, "one"), bunsource.Bind[Stock](db, "two"))
	ordered, _, _ := measure(bunsource.Bind[Stock](db, "one"), bunsource.Bind[Stock](db, "two", core.OrderBy("price")))
	columns, _, _ := measure(bunsource.Bind[Stock](db, "one"), bunsource.Bind[Stock](db, "two", core.Columns("id", "price")))
	b.ReportMetric(encoded, "JSON-B/row")
	b.ReportMetric(one, "heap-B/row")
	b.ReportMetric(accounted, "accounted-B/row")
	b.ReportMetric(two-one, "second-B/row")
	b.ReportMetric(ordered-one, "ordered-B/row")
	b.ReportMetric(columns-one, "columns-B/row")
}

// sizeHeld has so many clients wait for a change by "Prefer: wait", each on a
// connection of its own.
func sizeHeld(b *testing.B, clients int) {
	db := stock(b, 10, 50)
	e, reg, end := serving(b, db, bunsource.Bind[Stock](db, "one"))
	server := httptest.NewServer(e)
	defer server.Close()
	defer end()
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/one", nil))
	request := "GET /api/one HTTP/1.1\r\nHost: shop\r\nPrefer: wait=60\r\nIf-None-Match: " + w.Header().Get("ETag") + "\r\n\r\n"
	open := func(n int) (close func()) {
		conns := make([]net.Conn, n)
		for i := range conns {
			conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := conn.Write([]byte(request)); err != nil {
				b.Fatal(err)
			}
			conns[i] = conn
		}
		return func() {
			for _, conn := range conns {
				_ = conn.Close()
			}
		}
	}
	held := func(n int) {
		for reg.Status().Transports[0].Open < n {
			time.Sleep(time.Millisecond)
		}
	}
	defer open(10)() // what the first ones need for all
	held(10)
	before := used()
	defer open(clients)()
	held(10 + clients)
	b.ReportMetric((used()-before)/float64(clients), "B/request") // with the client's end of the connection
}
