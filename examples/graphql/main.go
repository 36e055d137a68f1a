// Command graphql serves GraphQL subscriptions by the protocol graphql-transport-ws,
// each the rows of a binding with their version, current all the time.
package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/examples/internal/demo"
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
	demo.Main("127.0.0.1:8088", "a price changes", func(ctx context.Context, addr string, every time.Duration) error {
		return run(ctx, addr, every, func(url string, _ *bun.DB) { fmt.Printf("graphql-transport-ws at %s/graphql\n", url) })
	})
}

// run serves until the context ends; a price changes at the interval, 0 for never.
// ready is called with the server's URL.
func run(ctx context.Context, addr string, every time.Duration, ready func(url string, db *bun.DB)) error {
	db, err := demo.Database(
		ctx, "graphql",
		Product{ID: 1, Venue: "store", Name: "Green tea", Cents: 450},
		Product{ID: 2, Venue: "store", Name: "Teapot", Cents: 3200},
		Product{ID: 3, Venue: "web", Name: "Cup", Cents: 800},
	)
	if err != nil {
		return err
	}
	defer db.Close()

	reg := core.NewRegistry()
	_ = reg.Add(bunsource.BindFamily[Product](db, "shelf", core.Where( // problems come from Start
		filter.Eq("venue", filter.Param("venue")), filter.ContainsFold("name", filter.Param("search").Optional())), core.OrderBy("name")))
	_ = reg.Watch(bunsource.Hooks(db))
	if err := reg.Start(ctx); err != nil {
		return err
	}
	graphql := &server{operations: operations(&resolver{reg})}
	mux := http.NewServeMux()
	mux.Handle("GET /graphql", graphql)
	var changes sync.WaitGroup
	changes.Go(func() {
		demo.Every(ctx, every, func(int) error {
			_, err := db.NewUpdate().Model((*Product)(nil)).Set("cents = ?", 100+rand.IntN(900)).Where("id = ?", 1+rand.IntN(3)).Exec(ctx)
			return err
		})
	})
	defer changes.Wait()
	httpServer := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	// The registry ends every subscription, and says why, before the sockets are closed.
	return demo.Serve(ctx, reg, httpServer, addr, func(url string) { ready(url, db) }, graphql.close)
}
