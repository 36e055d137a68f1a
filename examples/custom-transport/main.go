// Command custom-transport serves a live list of products through a transport
// of its own, newline-delimited JSON over plain net/http: see package ndjson.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/examples/custom-transport/ndjson"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/transports/graceful"
)

// Product is what is sold.
type Product struct {
	bun.BaseModel `bun:"table:products"`

	ID    int64  `bun:"id,pk"         json:"id"`
	Name  string `bun:"name,notnull"  json:"name"`
	Cents int64  `bun:"cents,notnull" json:"cents"`
}

// stopWithin bounds the way from a signal to the end of the program. Tests have more time,
// since a busy machine may take some of it away.
var stopWithin = 5 * time.Second

func main() {
	addr := flag.String("addr", "127.0.0.1:8084", "address to listen on")
	every := flag.Duration("every", time.Second, "how often a price changes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ready := func(url string) { fmt.Printf("try: curl -N %s/stream/products\n", url) }
	if err := run(ctx, *addr, *every, ready); err != nil {
		log.Fatal(err)
	}
}

// run serves until the context ends. ready is called with the server's URL.
func run(ctx context.Context, addr string, every time.Duration, ready func(url string)) error {
	db, err := bunsource.Open("sqlite", "file:custom-transport?mode=memory&cache=shared", sqlitedialect.New())
	if err != nil {
		return err
	}
	defer db.Close()
	products := []Product{{ID: 1, Name: "Kind of Blue", Cents: 1299}, {ID: 2, Name: "Blue Train", Cents: 1099}, {ID: 3, Name: "Maiden Voyage", Cents: 999}}
	if _, err := db.NewCreateTable().Model((*Product)(nil)).Exec(ctx); err != nil {
		return err
	}
	if _, err := db.NewInsert().Model(&products).Exec(ctx); err != nil {
		return err
	}

	mux := http.NewServeMux()
	lines := ndjson.New(mux, "/stream")
	reg := core.NewRegistry()
	_ = reg.Add(bunsource.Bind[Product](db, "products")) // problems come from Start
	_ = reg.Watch(bunsource.Hooks(db))
	_ = reg.Serve(lines)
	if err := reg.Start(ctx); err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	server.RegisterOnShutdown(lines.Stop) // whichever is shut down first ends the streams

	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return errors.Join(err, reg.Shutdown(context.WithoutCancel(ctx)))
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	ready("http://" + listener.Addr().String())

	err = changePrices(ctx, db, every, served)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	return errors.Join(err, reg.Shutdown(end), graceful.Shutdown(end, server))
}

// changePrices gives the streams something to tell, until the context or the
// server ends.
func changePrices(ctx context.Context, db *bun.DB, every time.Duration, served <-chan error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-served:
			return err
		case <-tick.C:
		}
		p := Product{ID: 1 + rand.Int64N(3), Cents: 900 + rand.Int64N(900)}
		_, err := db.NewUpdate().Model(&p).Column("cents").WherePK().Exec(ctx)
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}
