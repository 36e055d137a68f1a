package docs

import (
	"context"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/plugins/admin"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/pollsource"
	"github.com/binderyhq/bindery/transports/rest"
	"github.com/binderyhq/bindery/transports/socketio"
)

// region model

// DjangoProduct is shop.models.Product: Django has named its table.
type DjangoProduct struct {
	bun.BaseModel `bun:"table:shop_product"`

	ID     int64  `bun:"id,pk,autoincrement" json:"id"`
	Name   string `bun:"name,notnull"        json:"name"`
	Venue  string `bun:"venue,notnull"       json:"venue"`
	Secret string `bun:"secret,notnull"      json:"-"`
}

// endregion

// TestMigrating has a second program, as Django is one, write what clients see.
func TestMigrating(t *testing.T) {
	dsn := "file:" + filepath.Join(t.TempDir(), "django.sqlite3") + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(60000)"
	django, err := sql.Open("sqlite", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = django.Close() }()
	if _, err := django.Exec(`CREATE TABLE shop_product (id integer PRIMARY KEY AUTOINCREMENT, name varchar(100) NOT NULL, venue varchar(20) NOT NULL, secret text NOT NULL)`); err != nil {
		t.Fatal(err)
	}
	db, err := bunsource.Open("sqlite", dsn, sqlitedialect.New())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	e, reg, token := echo.New(), core.NewRegistry(), "a-token-for-the-test"
	// region program
	products := bunsource.Bind[DjangoProduct](db, "products",
		core.Where(filter.Eq("venue", "store"), filter.Not(filter.Eq("name", ""))), // filters, excludes
		core.Writable(core.WriteRules{RowsMayLeave: true}))

	reg.Add(products)
	reg.Watch(
		bunsource.Hooks(db), // what this program writes
		pollsource.New(time.Second, pollsource.DataVersion(db))) // what Django writes; on Postgres pgsource.New or XMin
	reg.Serve(
		socketio.New(e.Group("/socket.io")), // the pages that there are
		rest.New(e.Group("/api")))           // BoundModelViewSet
	reg.Use(admin.New(e.Group("/admin"), admin.Config{Token: token})) // bindinglist, bindingbump, …
	// endregion
	if err := reg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reg.Shutdown(context.Background()) }()
	came := make(chan struct{}, 4)
	defer products.OnChange(func(d core.Delta[DjangoProduct]) {
		if len(d.Created) > 0 {
			came <- struct{}{}
		}
	})()
	if _, err := django.Exec("INSERT INTO shop_product (name, venue, secret) VALUES ('Blue', 'store', 'x'), ('Online only', 'online', 'x')"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-came:
	case <-time.After(60 * time.Second):
		t.Fatal("what Django writes does not show")
	}
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/products", nil))
	if got := strings.TrimSpace(w.Body.String()); got != `[{"id":1,"name":"Blue","venue":"store"}]` {
		t.Error(got)
	}
}
