// Command 2 is the kitchen board with a binding in place of the list and the hub.
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/transports/graceful"
	"github.com/binderyhq/bindery/transports/rest"
	"github.com/binderyhq/bindery/transports/sse"
	"github.com/binderyhq/bindery/transports/websocket"
)

// Order is a dish that a table waits for.
type Order struct {
	bun.BaseModel `bun:"table:orders"`

	ID     int64  `bun:"id,pk,autoincrement" json:"id"`
	Table  int    `bun:"table_no,notnull"    json:"table"`
	Dish   string `bun:"dish,notnull"        json:"dish"`
	Served bool   `bun:"served,notnull"      json:"served"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, "127.0.0.1:8090", "file:cafe-2.sqlite?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_txlock=immediate"); err != nil {
		log.Fatal(err)
	}
}

// region run
func run(ctx context.Context, addr, dsn string) error {
	db, err := bunsource.Open("sqlite", dsn, sqlitedialect.New()) // was: sql.Open and bun.NewDB
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if _, err := db.NewCreateTable().Model((*Order)(nil)).IfNotExists().Exec(ctx); err != nil {
		return err
	}
	k := newKitchen(db)
	if err := k.registry.Start(ctx); err != nil {
		return err
	}
	go func() {
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = k.registry.Shutdown(end) // streams first
		_ = graceful.Shutdown(end, k.echo.Server)
	}()
	graceful.CloseUnused(k.echo.Server)
	if err := k.echo.Start(addr); !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(err, k.registry.Shutdown(context.Background()))
	}
	return k.registry.Shutdown(context.Background()) // waits for the one above
}

// endregion

// region app

// kitchen is the whole application.
type kitchen struct {
	db       *bun.DB
	echo     *echo.Echo
	registry *core.Registry
	waiting  *core.Binding[Order]
}

func newKitchen(db *bun.DB) *kitchen {
	k := &kitchen{db: db, echo: echo.New(), registry: core.NewRegistry()}
	k.waiting = bunsource.Bind[Order](db, "waiting",
		core.Where(filter.Eq("served", false)),
		core.OrderBy("id"))

	k.registry.Add(k.waiting)
	k.registry.Watch(bunsource.Hooks(db))
	k.registry.Serve(
		rest.New(k.echo.Group("/api")),
		sse.New(k.echo.Group("/events")),
		websocket.New(k.echo.Group("/ws")),
	)
	k.echo.POST("/api/waiting", k.take)
	k.echo.POST("/api/waiting/:id/served", k.serve)
	return k
}

// take writes an order down. Everybody is told, by whoever has written.
func (k *kitchen) take(c echo.Context) error {
	var order Order
	if err := c.Bind(&order); err != nil {
		return err
	}
	if _, err := k.db.NewInsert().Model(&order).Exec(c.Request().Context()); err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, order)
}

// serve takes an order off the board.
func (k *kitchen) serve(c echo.Context) error {
	_, err := k.db.NewUpdate().Model((*Order)(nil)).Set("served = true").Where("id = ?", c.Param("id")).Exec(c.Request().Context())
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// endregion
