// Command 1 is where the tutorial begins: a café's kitchen board as such boards
// are written by hand. Pages poll a list, and a melody hub tells them of changes.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/olahol/melody"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite"
)

// region model

// Order is a dish that a table waits for.
type Order struct {
	bun.BaseModel `bun:"table:orders"`

	ID     int64  `bun:"id,pk,autoincrement" json:"id"`
	Table  int    `bun:"table_no,notnull"    json:"table"`
	Dish   string `bun:"dish,notnull"        json:"dish"`
	Served bool   `bun:"served,notnull"      json:"served"`
}

// endregion

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, "127.0.0.1:8090", "file:cafe-1.sqlite?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_txlock=immediate"); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr, dsn string) error {
	sqldb, err := sql.Open("sqlite", dsn)
	if err != nil {
		return err
	}
	db := bun.NewDB(sqldb, sqlitedialect.New())
	defer func() { _ = db.Close() }()
	if _, err := db.NewCreateTable().Model((*Order)(nil)).IfNotExists().Exec(ctx); err != nil {
		return err
	}
	k := newKitchen(db)
	go func() {
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = k.hub.Close()
		_ = k.echo.Shutdown(end)
	}()
	if err := k.echo.Start(addr); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// region app

// kitchen is the whole application.
type kitchen struct {
	db   *bun.DB
	hub  *melody.Melody
	echo *echo.Echo
}

func newKitchen(db *bun.DB) *kitchen {
	k := &kitchen{db: db, hub: melody.New(), echo: echo.New()}
	k.echo.GET("/api/waiting", k.list)
	k.echo.POST("/api/waiting", k.take)
	k.echo.POST("/api/waiting/:id/served", k.serve)
	k.echo.GET("/ws", func(c echo.Context) error { return k.hub.HandleRequest(c.Response(), c.Request()) })
	return k
}

// list is what pages poll.
func (k *kitchen) list(c echo.Context) error {
	orders := []Order{}
	if err := k.db.NewSelect().Model(&orders).Where("NOT served").Order("id").Scan(c.Request().Context()); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, orders)
}

// take writes an order down, and tells everybody.
func (k *kitchen) take(c echo.Context) error {
	var order Order
	if err := c.Bind(&order); err != nil {
		return err
	}
	if _, err := k.db.NewInsert().Model(&order).Exec(c.Request().Context()); err != nil {
		return err
	}
	k.tell("create", order)
	return c.JSON(http.StatusCreated, order)
}

// serve takes an order off the board, and tells everybody.
func (k *kitchen) serve(c echo.Context) error {
	order := Order{}
	_, err := k.db.NewUpdate().Model(&order).Set("served = true").Where("id = ?", c.Param("id")).Returning("*").Exec(c.Request().Context())
	if err != nil {
		return err
	}
	k.tell("delete", order)
	return c.NoContent(http.StatusNoContent)
}

func (k *kitchen) tell(action string, order Order) {
	message, _ := json.Marshal(map[string]any{"action": action, "payload": order})
	_ = k.hub.Broadcast(message)
}

// endregion
