// Command quickstart is the README's program: a live list of products, served
// as REST, Server-Sent Events and WebSocket.
package main

import (
	"context"
	"fmt"
	"log"
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
	"github.com/binderyhq/bindery/sources/pollsource"
	"github.com/binderyhq/bindery/transports/graceful"
	"github.com/binderyhq/bindery/transports/rest"
	"github.com/binderyhq/bindery/transports/sse"
	"github.com/binderyhq/bindery/transports/websocket"
)

// Product is an ordinary Bun model.
type Product struct {
	bun.BaseModel `bun:"table:products"`

	ID     int64  `bun:"id,pk,autoincrement" json:"id"`
	Name   string `bun:"name,notnull"        json:"name"`
	Active bool   `bun:"active,notnull"      json:"active"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, "127.0.0.1:8082", func(*core.Binding[Product]) {}); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr string, ready func(*core.Binding[Product])) error {
	// A *bun.DB whose commits are seen.
	db, err := bunsource.Open("sqlite", "file:quickstart?mode=memory&cache=shared", sqlitedialect.New())
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.NewCreateTable().Model((*Product)(nil)).IfNotExists().Exec(ctx); err != nil {
		return err
	}

	products := bunsource.Bind[Product](db, "products",
		core.Where(filter.Eq("active", true)),
		core.OrderBy("name"))

	e := echo.New()
	reg := core.NewRegistry()
	reg.Add(products)
	reg.Watch(bunsource.Hooks(db), pollsource.Every(time.Minute))
	reg.Serve(rest.New(e.Group("/api")), sse.New(e.Group("/events")), websocket.New(e.Group("/ws")))
	if err := reg.Start(ctx); err != nil { // every problem at once, in your words
		return err
	}

	// A write returns when the bindings show it.
	row := &Product{Name: "Kind of Blue", Active: true}
	if _, err := db.NewInsert().Model(row).Exec(ctx); err != nil {
		return err
	}
	for p := range products.All() { // typed, lock-free, always current
		fmt.Println(p.ID, p.Name)
	}
	ready(products)

	sold := make(chan struct{})
	go func() { // so that streams have something to show
		defer close(sold)
		sell(ctx, db)
	}()
	defer func() { <-sold }()

	graceful.CloseUnused(e.Server)
	go func() {
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = reg.Shutdown(end) // streams first: Echo would wait for them
		_ = e.Shutdown(end)
	}()
	_ = e.Start(addr) // until Shutdown
	return reg.Shutdown(context.Background())
}

// sell brings in records and takes others off sale, one every two seconds.
func sell(ctx context.Context, db *bun.DB) {
	names := []string{"Blue Train", "Mingus Ah Um", "Time Out", "Giant Steps"}
	for i := 0; ; i++ {
		select {
		case <-time.After(2 * time.Second):
		case <-ctx.Done():
			return
		}
		if i < len(names) {
			_, _ = db.NewInsert().Model(&Product{Name: names[i], Active: true}).Exec(ctx)
			continue
		}
		_, _ = db.NewUpdate().Model((*Product)(nil)).Set("active = NOT active").Where("id = ?", i%(len(names)+1)+1).Exec(ctx)
	}
}
