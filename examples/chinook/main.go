// Command chinook serves tables of a database that was there before: the
// Chinook sample database, as it is, with its names, keys and NULLs. See
// README.md for what to try.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/pollsource"
	"github.com/binderyhq/bindery/transports/graceful"
	"github.com/binderyhq/bindery/transports/rest"
	"github.com/binderyhq/bindery/transports/sse"
	"github.com/binderyhq/bindery/transports/websocket"
)

// pollEvery is how often the program asks whether another process has written to the
// file.
const pollEvery = time.Second

// stopWithin bounds the way from a signal to the end of the program. Tests have more time,
// since a busy machine may take some of it away.
var stopWithin = 4 * time.Second

func main() {
	addr := flag.String("addr", "127.0.0.1:8081", "the address to serve at; port 0 picks a free one")
	dsn := flag.String("db", "", "the database, sqlite:PATH; empty for a copy of the one inside the program")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "chinook: unexpected argument %q\n", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	serving := func(url, path string) { fmt.Printf("chinook: serving %s at %s\n", path, url) }
	if err := run(ctx, *addr, *dsn, serving); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves until ctx is done, and then ends streams, drains and returns.
// serving is called once, with the URL and the database file, when requests are
// answered.
func run(ctx context.Context, addr, dsn string, serving func(url, path string)) (err error) {
	db, path, cleanUp, err := openDatabase(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cleanUp()) }()

	e, reg := assemble(db)
	if err := reg.Start(ctx); err != nil {
		return fmt.Errorf("chinook: %w", err)
	}
	graceful.CloseUnused(e.Server)
	var server sync.WaitGroup
	defer server.Wait()
	// Whichever way run ends, streams end first: the HTTP server's own Shutdown
	// waits for them, and does not know of WebSockets at all.
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		err = errors.Join(err, reg.Shutdown(end), graceful.Shutdown(end, e.Server))
	}()
	e.Listener, err = net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("chinook: %w", err)
	}
	served := make(chan error, 1)
	server.Go(func() { served <- e.Start("") })
	serving("http://"+e.Listener.Addr().String()+"/", path)

	select {
	case err := <-served:
		return fmt.Errorf("chinook: serving: %w", err)
	case <-ctx.Done():
		return nil
	}
}

// assemble puts the program together; nothing of it runs yet.
func assemble(db *bun.DB) (*echo.Echo, *core.Registry) {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Server.ReadHeaderTimeout = 10 * time.Second

	reg := core.NewRegistry()
	reg.Add(bindings(db)...)
	// The hooks see what this process writes, polling what others do.
	reg.Watch(bunsource.Hooks(db), pollsource.New(pollEvery, pollsource.DataVersion(db)))
	reg.Serve(
		rest.New(e.Group("/api")),
		sse.New(e.Group("/events")),
		websocket.New(e.Group("/ws")),
	)
	e.GET("/", func(c echo.Context) error { return index(c, reg) })
	return e, reg
}

// index lists what there is to look at, as plain text.
func index(c echo.Context, reg *core.Registry) error {
	var b strings.Builder
	base := c.Scheme() + "://" + c.Request().Host
	for _, v := range reg.Views() {
		fmt.Fprintf(&b, "%-16s %6d rows   %s/api/%s   %s/events/%s\n", v.Name(), v.Len(), base, v.Name(), base, v.Name())
	}
	return c.String(http.StatusOK, b.String())
}
