package fanoutbench

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
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

// article is a row in SQLite.
type article struct {
	bun.BaseModel `bun:"table:articles"`

	ID    int64  `bun:"id,pk"         json:"id"`
	Name  string `bun:"name,notnull"  json:"name"`
	Venue string `bun:"venue,notnull" json:"venue"`
	Cents int64  `bun:"cents,notnull" json:"cents"`
}

// BenchmarkList asks for a list of 1,000 rows, over loopback: an Echo handler
// that queries SQLite through Bun, the rest transport, the same to a client
// that has the list, and an empty handler, for what the connection costs.
func BenchmarkList(b *testing.B) {
	e := listServer(b)
	server := httptest.NewServer(e)
	b.Cleanup(server.Close)
	tag := etag(b, server)
	for _, c := range []struct {
		name, path, tag string
		status          int
	}{
		{"echo+bun", "/plain", "", http.StatusOK},
		{"rest", "/api/articles", "", http.StatusOK},
		{"rest 304", "/api/articles", tag, http.StatusNotModified},
		{"empty 304", "/empty", tag, http.StatusNotModified},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				resp := get(b, server, c.path, c.tag)
				n, err := io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if err != nil || resp.StatusCode != c.status || c.status == http.StatusOK && n < 50_000 {
					b.Fatalf("%s, %d bytes, %v", resp.Status, n, err)
				}
			}
		})
	}
}

func get(b *testing.B, server *httptest.Server, path, tag string) *http.Response {
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, server.URL+path, nil)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "identity") // both send the same bytes
	if tag != "" {
		req.Header.Set("If-None-Match", tag)
	}
	resp, err := server.Client().Do(req)
	if err != nil {
		b.Fatal(err)
	}
	return resp
}

func etag(b *testing.B, server *httptest.Server) string {
	resp := get(b, server, "/api/articles", "")
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.Header.Get("ETag")
}

func listServer(b *testing.B) *echo.Echo {
	ctx := b.Context()
	file := "file:" + filepath.Join(b.TempDir(), "list.db")
	db, err := bunsource.Open("sqlite", file, sqlitedialect.New())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	if _, err := db.NewCreateTable().Model((*article)(nil)).Exec(ctx); err != nil {
		b.Fatal(err)
	}
	rows := make([]article, 1000)
	for i := range rows {
		rows[i] = article{ID: int64(i + 1), Name: fmt.Sprint("article ", i), Venue: "store", Cents: int64(i)}
	}
	if _, err := db.NewInsert().Model(&rows).Exec(ctx); err != nil {
		b.Fatal(err)
	}
	// The plain handler has a connection pool that nothing watches.
	sqldb, err := sql.Open("sqlite", file)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = sqldb.Close() })
	plain := bun.NewDB(sqldb, sqlitedialect.New())

	e := echo.New()
	e.GET("/empty", func(c echo.Context) error { return c.NoContent(http.StatusNotModified) })
	e.GET("/plain", func(c echo.Context) error {
		var rows []article
		if err := plain.NewSelect().Model(&rows).Order("id").Scan(c.Request().Context()); err != nil {
			return err
		}
		return c.JSON(http.StatusOK, rows)
	})
	reg := core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}.NewRegistry()
	_ = reg.Add(bunsource.Bind[article](db, "articles")) // problems come from Start
	_ = reg.Watch(bunsource.Hooks(db))
	_ = reg.Serve(rest.New(e.Group("/api")))
	if err := reg.Start(ctx); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		end, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := reg.Shutdown(end); err != nil {
			b.Error(err)
		}
	})
	return e
}
