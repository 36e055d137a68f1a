// Command storefront is a live record shop: products in a database, kept in
// memory and served as REST, WebSocket and Server-Sent Events, with a page that
// shows every change at once. See README.md for what to try.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/binderyhq/bindery/plugins/health"
	"github.com/binderyhq/bindery/transports/graceful"
)

// stopWithin bounds the whole way from a signal to the end of the program. Its
// beginning, drainDelay, goes to whoever sends clients here, to notice, and then
// drainSpread to streams, to end one after the other. Behind a balancer all should be
// longer: -stop-within and -drain.
const (
	stopWithin  = 4 * time.Second
	drainDelay  = 200 * time.Millisecond
	drainSpread = 500 * time.Millisecond
)

// settings are what the flags say.
type settings struct {
	addr, dsn    string
	rows         int
	sharedMaxAge time.Duration
	adminToken   string
	nats         string // the URL of the server, "" for a node alone
	warm         string // the directory of snapshots, "" for none
	follow       string // the address of another storefront, "" for a shop of its own
	drain        health.Config
	stopWithin   time.Duration
}

func main() {
	s := settings{drain: health.Config{Spread: drainSpread}}
	flag.StringVar(&s.addr, "addr", "127.0.0.1:8080", "the address to serve at; port 0 picks a free one")
	flag.StringVar(&s.dsn, "db", "", "the database: sqlite:PATH or postgres://…; empty for a new SQLite file in a temporary directory")
	flag.IntVar(&s.rows, "rows", 1000, "how many products to fill an empty table with")
	sharedMaxAge := flag.Int("shared-max-age", 0, "how many seconds caches that clients share may keep what polls are answered; 0 shares nothing")
	flag.StringVar(&s.adminToken, "admin-token", "", "guards /admin; without it a random one is made, and the address with it is printed")
	flag.StringVar(&s.nats, "nats", "", "the URL of a NATS server, over which this node and others on the same database tell each other of their writes")
	flag.StringVar(&s.warm, "warm", "", "the directory in which to keep snapshots, which a restart serves at once, also while the database is away")
	flag.StringVar(&s.follow, "follow", "", "the address of another storefront whose bindings to serve, without a database")
	flag.DurationVar(&s.drain.Delay, "drain", drainDelay, "how long readiness is 503 before streams end and nothing more is accepted")
	flag.DurationVar(&s.stopWithin, "stop-within", stopWithin, "the time from a signal to the end, draining included; clients who are late are cut off")
	flag.Parse()
	s.sharedMaxAge = time.Duration(*sharedMaxAge) * time.Second
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "storefront: unexpected argument %q\n", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	random := s.adminToken == ""
	if random {
		s.adminToken = rand.Text()
	}
	if err := run(ctx, s, func(url string) { announce(url, s.adminToken, random) }); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// announce prints the shop's address, alone on standard output, and beside it the
// admin's, with the token when nobody else knows it.
func announce(url, token string, random bool) {
	fmt.Printf("storefront: serving at %s\n", url)
	admin := url + "admin/"
	if random {
		admin += "?token=" + token
	}
	fmt.Fprintf(os.Stderr, "storefront: admin at %s\n", admin)
}

// run serves until ctx is done, and then ends streams, drains and returns.
// serving is called once, with the URL, when requests are answered.
func run(ctx context.Context, s settings, serving func(url string)) (err error) {
	if s.follow != "" {
		shop, err := newFollower(s)
		if err != nil {
			return err
		}
		return shop.serve(ctx, s, serving)
	}
	database, err := openDatabase(s.dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, database.close()) }()

	prepared := make(chan struct{})
	go func() {
		defer close(prepared)
		prepareUntilDone(ctx, database, s.rows)
	}()
	defer func() { <-prepared }()
	var others *nodes
	if s.nats != "" {
		if others, err = joinNodes(s.nats); err != nil {
			return err
		}
		defer others.close()
	}
	shop := newShop(database, others, s)
	if !shop.isWarm() {
		waitBriefly(ctx, prepared)
	}
	return shop.serve(ctx, s, serving)
}

// serve starts the shop and serves until ctx is done, as run does.
func (shop *shop) serve(ctx context.Context, s settings, serving func(url string)) error {
	if err := shop.registry.Start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // a signal came before it served; what had started is stopped
		}
		return fmt.Errorf("storefront: %w", err)
	}
	listener, err := net.Listen("tcp", s.addr)
	if err != nil {
		return errors.Join(fmt.Errorf("storefront: %w", err), shop.registry.Shutdown(context.WithoutCancel(ctx)))
	}
	shop.echo.Listener = listener
	graceful.CloseUnused(shop.echo.Server) // browsers keep some ready
	served := make(chan error, 1)
	go func() { served <- shop.echo.Start("") }()
	serving("http://" + listener.Addr().String() + "/")

	select {
	case err := <-served:
		return errors.Join(fmt.Errorf("storefront: serving: %w", err), shop.registry.Shutdown(context.WithoutCancel(ctx)))
	case <-ctx.Done():
	}
	// Streams first: the HTTP server's own Shutdown waits for open SSE
	// requests and does not know of WebSockets.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.stopWithin)
	defer cancel()
	err = errors.Join(shop.health.Drain(end), shop.registry.Shutdown(end), graceful.Shutdown(end, shop.echo.Server))
	if serr := <-served; !errors.Is(serr, http.ErrServerClosed) {
		err = errors.Join(err, serr)
	}
	return err
}

// prepareUntilDone prepares the database, again and again while it is away:
// the shop opens without it and fills its shelves when it comes.
func prepareUntilDone(ctx context.Context, database *database, rows int) {
	for wait := 200 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		err := prepareDatabase(ctx, database.db, rows)
		if err == nil || ctx.Err() != nil {
			return
		}
		slog.Warn("the database cannot be prepared yet", slog.Any("error", err), slog.Duration("again in", wait))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// waitBriefly waits for the database to be prepared, so that a usual start
// finds its table, and goes on without it after a while.
func waitBriefly(ctx context.Context, prepared <-chan struct{}) {
	select {
	case <-prepared:
	case <-time.After(5 * time.Second):
	case <-ctx.Done():
	}
}
