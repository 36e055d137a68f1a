// Command graphql serves GraphQL subscriptions by the protocol graphql-transport-ws,
// each the rows of a binding with their version, current all the time.
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
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/sources/bunsource"
)

// Product is what is sold.
type Product struct {
	bun.BaseModel `bun:"table:products"`

	ID    int64  `bun:"id,pk"         json:"id"`
	Venue string `bun:"venue,notnull" json:"venue"`
	Name  string `bun:"name,notnull"  json:"name"`
	Cents int64  `bun:"cents,notnull" json:"cents"`
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8088", "address to listen on")
	every := flag.Duration("every", time.Second, "how often a price changes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *every, func(url string, _ *bun.DB) { fmt.Printf("graphql-transport-ws at %s/graphql\n", url) }); err != nil {
		log.Fatal(err)
	}
}

// run serves until the context ends; a price changes at the interval, 0 for never.
// ready is called with the server's URL.
func run(ctx context.Context, addr string, every time.Duration, ready func(url string, db *bun.DB)) error {
	db, err := bunsource.Open("sqlite", "file:graphql?mode=memory&cache=shared", sqlitedialect.New())
	if err != nil {
		return err
	}
	defer db.Close()
	products := []Product{
		{ID: 1, Venue: "store", Name: "Green tea", Cents: 450},
		{ID: 2, Venue: "store", Name: "Teapot", Cents: 3200},
		{ID: 3, Venue: "web", Name: "Cup", Cents: 800},
	}
	if _, err := db.NewCreateTable().Model((*Product)(nil)).Exec(ctx); err != nil {
		return err
	}
	if _, err := db.NewInsert().Model(&products).Exec(ctx); err != nil {
		return err
	}

	reg := core.NewRegistry()
	_ = reg.Add(bunsource.BindFamily[Product](db, "shelf", core.Where( // problems come from Start
		filter.Eq("venue", filter.Param("venue")), filter.ContainsFold("name", filter.Param("search").Optional())), core.OrderBy("name")))
	_ = reg.Watch(bunsource.Hooks(db))
	if err := reg.Start(ctx); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return errors.Join(err, reg.Shutdown(context.WithoutCancel(ctx)))
	}
	graphql := &server{operations: operations(&resolver{reg})}
	mux := http.NewServeMux()
	mux.Handle("GET /graphql", graphql)
	httpServer := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- httpServer.Serve(listener) }()
	ready("http://"+listener.Addr().String(), db)
	change(ctx, db, every)

	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = reg.Shutdown(end) // every subscription ends, and says why
	graphql.close()
	err = errors.Join(err, httpServer.Shutdown(end))
	if stopped := <-served; !errors.Is(stopped, http.ErrServerClosed) {
		err = errors.Join(err, stopped)
	}
	return err
}

// change has some price change at the interval, until the context ends.
func change(ctx context.Context, db *bun.DB, every time.Duration) {
	if every <= 0 {
		<-ctx.Done()
		return
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if _, err := db.NewUpdate().Model((*Product)(nil)).Set("cents = ?", 100+rand.IntN(900)).Where("id = ?", 1+rand.IntN(3)).Exec(ctx); err != nil && ctx.Err() == nil {
			log.Print(err)
		}
	}
}
