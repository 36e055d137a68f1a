package pages

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/nats-io/nats.go"
	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/plugins/health"
	"github.com/binderyhq/bindery/plugins/warmstart"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/followsource"
	"github.com/binderyhq/bindery/sources/jetsource"
	"github.com/binderyhq/bindery/sources/pgsource"
	"github.com/binderyhq/bindery/sources/pollsource"
	"github.com/binderyhq/bindery/transports/graceful"
	binderynats "github.com/binderyhq/bindery/transports/nats"
	"github.com/binderyhq/bindery/transports/rest"
)

func ask(h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestWrites(t *testing.T) {
	db, reg := open(t)
	products :=
		// region writable
		bunsource.Bind[Product](db, "products",
			core.Where(filter.Eq("active", true)),
			core.Writable(core.WriteRules{ // else 405
				RowsMayLeave: true, // else a write that puts the row outside is a 422, rolled back
				RequireMatch: true, // else If-Match is honoured, but not demanded
				ClientKeys:   true, // else a key that has a default cannot be given in POST
			}))
	// endregion
	reg.Add(products)
	// region rest
	e := echo.New()
	reg.Serve(rest.New(e.Group("/api")))
	// endregion
	start(t, reg)
	if w := ask(e, "PATCH", "/api/products/1", `{"active":false}`); w.Code != http.StatusPreconditionRequired {
		t.Errorf("without If-Match: %d", w.Code)
	}
	if w := ask(e, "PATCH", "/api/products/1", `{"active":false}`, "If-Match", "*"); w.Code != 200 || products.Len() != 2 {
		t.Errorf("%d %s, %d rows", w.Code, w.Body, products.Len())
	}
	if w := ask(e, "POST", "/api/products", `{"id":77,"name":"Mug","sku":"MUG-1","venue":"web","status":"open","price":4,"rating":0,"active":true}`, "If-Match", "*"); w.Code != 201 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestPages(t *testing.T) {
	db, reg := open(t)
	products := bunsource.Bind[Product](db, "products")
	venues := bunsource.Bind[VenueView](db, "venues", core.DependsOn(bunsource.TableOf[Product](db)))
	reg.Add(products, venues, bunsource.BindFamily[Order](db, "orders", core.Where(filter.Eq("user", filter.Param("user")))))
	userOf := func(*http.Request) int { return 42 }
	e := echo.New()
	// region page
	shopPage := func(c echo.Context) error {
		now := products.In(c.Request().Context()) // the version that the tag names
		return c.Render(http.StatusOK, "shop.html", now.All())
	}
	e.GET("/shop", shopPage, rest.NotModified(products.View, venues.View))
	// endregion
	e.GET("/shop.txt", func(c echo.Context) error { return c.String(200, "shop") }, rest.NotModified(products.View, venues.View))
	// region conditions
	own := rest.Conditions{Open: func(r *http.Request) ([]*core.Grant, error) {
		orders, err := reg.Open(r.Context(), "orders", core.Args{"user": userOf(r)})
		return []*core.Grant{orders}, err
	}}
	e.GET("/orders", func(c echo.Context) error {
		ctx := c.Request().Context()
		orders, err := core.Read[Order](ctx, rest.Granted(ctx, "orders"))
		if err != nil {
			return err
		}
		return c.Render(http.StatusOK, "orders.html", orders.All())
	}, own.Middleware())
	// endregion
	e.GET("/orders.txt", func(c echo.Context) error {
		ctx := c.Request().Context()
		orders, err := core.Read[Order](ctx, rest.Granted(ctx, "orders"))
		if err != nil {
			return err
		}
		text := ""
		for o := range orders.All() {
			text += string(rune('0' + o.ID))
		}
		return c.String(200, text)
	}, own.Middleware())
	start(t, reg)
	for path, body := range map[string]string{"/shop.txt": "shop", "/orders.txt": "1"} {
		w := ask(e, "GET", path, "")
		if w.Code != 200 || w.Body.String() != body {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		if w := ask(e, "GET", path, "", "If-None-Match", w.Header().Get("ETag")); w.Code != 304 {
			t.Errorf("%s again: %d", path, w.Code)
		}
	}
}

func TestProbes(t *testing.T) {
	_, reg := open(t)
	mux := http.NewServeMux()
	// region probes
	h := health.New(reg, health.Config{Delay: 5 * time.Second, Spread: 10 * time.Second})
	mux.Handle("/healthz", h.Live())
	mux.Handle("/readyz", h.Ready())
	// endregion
	if w := ask(mux, "GET", "/healthz", ""); w.Code != 200 {
		t.Errorf("%d", w.Code)
	}
}

// What follows needs servers, and is compiled: the packages' own tests run it.

var _ = func(ctx context.Context, h *health.Health, reg *core.Registry, server *http.Server) error {
	// region drain
	<-ctx.Done() // SIGTERM
	end, cancel := context.WithTimeout(context.Background(), 25*time.Second)
	defer cancel()
	err := errors.Join(h.Drain(end), reg.Shutdown(end), graceful.Shutdown(end, server))
	// endregion
	return err
}

var _ = func(reg *core.Registry) {
	// region warm
	reg.Use(warmstart.New("/var/lib/shop/snapshots", "postgres://db.example/shop"))
	// endregion
}

var _ = func(reg *core.Registry) {
	// region pgsource
	reg.Watch(pgsource.New("postgres://bindery@db/shop"))
	// endregion
}

var _ = func(ctx context.Context, reg *core.Registry, ownerDSN string) error {
	// region outbox
	// once, by the owner of the tables; or as a migration: Outbox.SQL returns the same as text
	outbox := pgsource.Outbox{Readers: []string{"shop_live"}}
	if err := outbox.Install(ctx, ownerDSN, driver.Table{Name: "products"}, driver.Table{Name: "orders"}); err != nil {
		return err
	}
	// in the program
	reg.Watch(pgsource.NewTriggers("postgres://shop_live@db/shop"))
	// endregion
	return nil
}

var _ = func(reg *core.Registry, db *bun.DB, dsn string) {
	// region best
	reg.Watch(pgsource.NewBest(dsn, pollsource.New(time.Second, pollsource.XMin(db, 0))))
	// endregion
}

var _ = func(reg *core.Registry) {
	// region follower
	origin := followsource.New("http://origin:8080/events")
	reg.Add(followsource.Bind[Product](origin, "products"))
	// endregion
}

var _ = func(reg, follower *core.Registry, conn *nats.Conn) {
	// region jetstream
	// import binderynats "github.com/binderyhq/bindery/transports/nats"
	reg.Serve(binderynats.New(conn)) // the origin

	products := jetsource.Bind[Product](jetsource.New(conn), "products") // a follower
	follower.Add(products)
	// endregion
}
