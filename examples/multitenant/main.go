// Command multitenant is a task board that two companies share without seeing
// each other: people sign in, an authorizer says what each of them may see and
// write, and rights that are withdrawn end what is open at once. See README.md
// for what to try.
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
	"sync"
	"syscall"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/transports/graceful"
)

// stopWithin bounds the whole way from a signal to the end of the program. Tests have more
// time, since a busy machine may take some of it away.
var stopWithin = 4 * time.Second

// settings are what the program is started with.
type settings struct {
	addr string // port 0 picks a free one
	file string // the SQLite file, "" for a new one in a temporary directory
	work int    // iterations of the password hashes that are made
}

func main() {
	s := settings{work: passwordWork}
	flag.StringVar(&s.addr, "addr", "127.0.0.1:8083", "the address to serve at; port 0 picks a free one")
	flag.StringVar(&s.file, "db", "", "the SQLite file; empty for a new one in a temporary directory")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "multitenant: unexpected argument %q\n", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	serving := func(url string, _ *core.Registry) { fmt.Printf("multitenant: serving at %s\n", url) }
	if err := run(ctx, s, serving); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves until ctx is done, and then ends streams, drains and returns.
// serving is called once, with the URL, when requests are answered.
func run(ctx context.Context, s settings, serving func(url string, reg *core.Registry)) (err error) {
	db, closeDatabase, err := openDatabase(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeDatabase()) }()

	a := newApp(db)
	if err := a.registry.Start(ctx); err != nil {
		return fmt.Errorf("multitenant: %w", err)
	}
	graceful.CloseUnused(a.echo.Server)
	var server sync.WaitGroup
	defer server.Wait()
	// Whichever way run ends, streams end first: the HTTP server's own Shutdown
	// waits for them, and does not know of WebSockets at all.
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		err = errors.Join(err, a.registry.Shutdown(end), graceful.Shutdown(end, a.echo.Server))
	}()
	a.echo.Listener, err = net.Listen("tcp", s.addr)
	if err != nil {
		return fmt.Errorf("multitenant: %w", err)
	}
	served := make(chan error, 1)
	server.Go(func() { served <- a.echo.Start("") })
	serving("http://"+a.echo.Listener.Addr().String()+"/", a.registry)

	select {
	case err := <-served:
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return fmt.Errorf("multitenant: serving: %w", err)
	case <-ctx.Done():
		return nil
	}
}
