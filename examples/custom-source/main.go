// Command custom-source serves a CSV file live, with a source and a loader of
// its own. No database is involved.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/examples/custom-source/csvfile"
	"github.com/binderyhq/bindery/transports/graceful"
	"github.com/binderyhq/bindery/transports/rest"
	"github.com/binderyhq/bindery/transports/sse"
)

// stopWithin bounds the way from a signal to the end of the program. Tests have more time,
// since a busy machine may take some of it away.
var stopWithin = 5 * time.Second

func main() {
	path := flag.String("file", "examples/custom-source/stock.csv", "the CSV `file` to serve")
	addr := flag.String("addr", "127.0.0.1:8085", "the `address` to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := run(ctx, *path, *addr, 200*time.Millisecond, func(url string) {
		fmt.Printf("Serving %s. Follow it, and edit it:\n\n    curl -N %s/events/stock\n", *path, url)
	})
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, path, addr string, interval time.Duration, ready func(url string)) error {
	table := csvfile.Open(path)
	stock := core.Bind[csvfile.Item]("stock", table, core.OrderBy("name"))
	soldOut := core.Bind[csvfile.Item]("sold-out", table, core.Where(filter.Eq("stock", 0)), core.OrderBy("name"))

	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	reg := core.NewRegistry()
	reg.Add(stock, soldOut)
	reg.Watch(csvfile.Watch(table, interval))
	reg.Serve(rest.New(e.Group("/api")), sse.New(e.Group("/events")))
	if err := reg.Start(ctx); err != nil {
		return err
	}

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return errors.Join(err, reg.Shutdown(context.WithoutCancel(ctx)))
	}
	e.Listener = listener
	ended := make(chan error, 1)
	go func() { ended <- e.Start("") }() // until Shutdown
	ready("http://" + listener.Addr().String())

	select {
	case err = <-ended: // it cannot serve
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	err = errors.Join(err, reg.Shutdown(end), graceful.Shutdown(end, e.Server)) // streams first: Echo would wait for them
	if ctx.Err() != nil {
		if serveErr := <-ended; !errors.Is(serveErr, http.ErrServerClosed) {
			err = errors.Join(err, serveErr)
		}
	}
	return err
}
