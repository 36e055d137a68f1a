// Command htmx serves a page that is rendered on the server and stays current: the
// orders of whoever has signed in, by html/template, with fragments over
// Server-Sent Events that htmx puts in place.
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

// Order is what somebody has ordered.
type Order struct {
	bun.BaseModel `bun:"table:orders"`

	ID     int64  `bun:"id,pk"          json:"id"`
	User   string `bun:"user,notnull"   json:"user"`
	Item   string `bun:"item,notnull"   json:"item"`
	Status string `bun:"status,notnull" json:"status"`
}

// statuses are what becomes of an order.
var statuses = []string{"received", "packed", "sent", "delivered"}

func main() {
	demo.Main("127.0.0.1:8087", "an order goes on", func(ctx context.Context, addr string, every time.Duration) error {
		return run(ctx, addr, every, func(url string, _ *bun.DB) { fmt.Printf("open %s/login?user=ann\n", url) })
	})
}

// run serves until the context ends; an order goes on at the interval, 0 for never.
// ready is called with the server's URL.
func run(ctx context.Context, addr string, every time.Duration, ready func(url string, db *bun.DB)) error {
	db, err := demo.Database(
		ctx, "htmx",
		Order{ID: 1, User: "ann", Item: "Green tea", Status: statuses[0]},
		Order{ID: 2, User: "ann", Item: "Teapot", Status: statuses[1]},
		Order{ID: 3, User: "bob", Item: "Cup", Status: statuses[0]},
	)
	if err != nil {
		return err
	}
	defer db.Close()

	reg := core.NewRegistry()
	_ = reg.Add(bunsource.BindFamily[Order](db, "orders", core.Where(filter.Eq("user", filter.Param("user"))))) // problems come from Start
	_ = reg.Watch(bunsource.Hooks(db))
	_ = reg.Authorize(core.AuthorizerFunc(ownOrders))
	if err := reg.Start(ctx); err != nil {
		return err
	}
	var changes sync.WaitGroup
	changes.Go(func() {
		demo.Every(ctx, every, func(n int) error {
			_, err := db.NewUpdate().Model((*Order)(nil)).Set("status = ?", statuses[n%len(statuses)]).Where("id = ?", 1+rand.IntN(3)).Exec(ctx)
			return err
		})
	})
	defer changes.Wait()
	server := &http.Server{Handler: (&shop{reg}).handler(), ReadHeaderTimeout: 5 * time.Second}
	return demo.Serve(ctx, reg, server, addr, func(url string) { ready(url, db) }, nil)
}
