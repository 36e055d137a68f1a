// Package demo has what the examples about transports set up alike: a small SQLite
// database in memory, a main function, and an HTTP server that ends in order.
package demo

import (
	"context"
	"errors"
	"flag"
	"log"
	"net"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/transports/graceful"
)

// Main runs a program until it is interrupted. It parses the flags -addr, with this
// default, and -every: how often the program changes something.
func Main(addr, changes string, run func(ctx context.Context, addr string, every time.Duration) error) {
	listen := flag.String("addr", addr, "address to listen on")
	every := flag.Duration("every", time.Second, "how often "+changes)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, *every); err != nil {
		log.Fatal(err)
	}
}

// Database opens an SQLite database in memory, with a table of these rows, whose
// commits Bindery sees.
func Database[T any](ctx context.Context, name string, rows ...T) (*bun.DB, error) {
	db, err := bunsource.Open("sqlite", "file:"+name+"?mode=memory&cache=shared", sqlitedialect.New())
	if err != nil {
		return nil, err
	}
	_, err = db.NewCreateTable().Model((*T)(nil)).Exec(ctx)
	if err == nil {
		_, err = db.NewInsert().Model(&rows).Exec(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// StopWithin bounds the time from the end of Serve's context to the end of Serve. Tests set
// it before they start, since a busy machine may take some of it away.
var StopWithin = 5 * time.Second

// Serve serves HTTP until the context ends, and then shuts down first the registry,
// because the server would wait for its streams, and then the server. ready is called
// with the server's URL. On the way out ended, if it is not nil, is called between the
// two.
func Serve(ctx context.Context, reg *core.Registry, server *http.Server, addr string, ready func(url string), ended func()) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return errors.Join(err, reg.Shutdown(context.WithoutCancel(ctx)))
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	ready("http://" + listener.Addr().String())
	select {
	case <-ctx.Done():
	case err = <-served:
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), StopWithin)
	defer cancel()
	err = errors.Join(err, reg.Shutdown(end))
	if ended != nil {
		ended()
	}
	return errors.Join(err, graceful.Shutdown(end, server))
}

// Every calls the function at the interval, 0 for never, until the context ends. It logs
// the function's errors.
func Every(ctx context.Context, interval time.Duration, change func(n int) error) {
	if interval <= 0 {
		return
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if err := change(n); err != nil && ctx.Err() == nil {
			log.Print(err)
		}
	}
}
