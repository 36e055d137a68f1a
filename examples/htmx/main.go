// Command htmx serves a page that is rendered on the server and stays current: the
// orders of whoever has signed in, by html/template, with fragments over
// Server-Sent Events that htmx puts in place.
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
	addr := flag.String("addr", "127.0.0.1:8087", "address to listen on")
	every := flag.Duration("every", time.Second, "how often an order goes on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *every, func(url string, _ *bun.DB) { fmt.Printf("open %s/login?user=ann\n", url) }); err != nil {
		log.Fatal(err)
	}
}

// run serves until the context ends; an order goes on at the interval, 0 for never.
// ready is called with the server's URL.
func run(ctx context.Context, addr string, every time.Duration, ready func(url string, db *bun.DB)) error {
	db, err := bunsource.Open("sqlite", "file:htmx?mode=memory&cache=shared", sqlitedialect.New())
	if err != nil {
		return err
	}
	defer db.Close()
	orders := []Order{
		{ID: 1, User: "ann", Item: "Green tea", Status: statuses[0]},
		{ID: 2, User: "ann", Item: "Teapot", Status: statuses[1]},
		{ID: 3, User: "bob", Item: "Cup", Status: statuses[0]},
	}
	if _, err := db.NewCreateTable().Model((*Order)(nil)).Exec(ctx); err != nil {
		return err
	}
	if _, err := db.NewInsert().Model(&orders).Exec(ctx); err != nil {
		return err
	}

	reg := core.NewRegistry()
	_ = reg.Add(bunsource.BindFamily[Order](db, "orders", core.Where(filter.Eq("user", filter.Param("user"))))) // problems come from Start
	_ = reg.Watch(bunsource.Hooks(db))
	_ = reg.Authorize(core.AuthorizerFunc(ownOrders))
	if err := reg.Start(ctx); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return errors.Join(err, reg.Shutdown(context.WithoutCancel(ctx)))
	}
	server := &http.Server{Handler: (&shop{reg}).handler(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	ready("http://"+listener.Addr().String(), db)
	goOn(ctx, db, every)

	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = errors.Join(reg.Shutdown(end), server.Shutdown(end)) // streams first: the server would wait for them
	if stopped := <-served; !errors.Is(stopped, http.ErrServerClosed) {
		err = errors.Join(err, stopped)
	}
	return err
}

// goOn has some order go on at the interval, until the context ends.
func goOn(ctx context.Context, db *bun.DB, every time.Duration) {
	if every <= 0 {
		<-ctx.Done()
		return
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if _, err := db.NewUpdate().Model((*Order)(nil)).Set("status = ?", statuses[n%len(statuses)]).Where("id = ?", 1+rand.IntN(3)).Exec(ctx); err != nil && ctx.Err() == nil {
			log.Print(err)
		}
	}
}
