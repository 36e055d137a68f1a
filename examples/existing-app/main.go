package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/binderyhq/bindery/transports/graceful"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	serving := func(url string) { fmt.Println("existing-app: serving at", url) }
	if err := run(ctx, "127.0.0.1:8089", "desk.sqlite", serving); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, addr, path string, serving func(url string)) error {
	db, err := openSQLite(path)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if _, err := db.NewCreateTable().Model((*Ticket)(nil)).IfNotExists().Exec(ctx); err != nil {
		return err
	}
	key := os.Getenv("TOKEN_KEY")
	if key == "" {
		key = "for trying it out only"
	}
	a := newApp(db, []byte(key))

	// region main
	l := addLive(a)
	if err := l.registry.Start(ctx); err != nil { // before the server serves
		return err
	}
	graceful.CloseUnused(a.echo.Server)
	served := make(chan error, 1)
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return errors.Join(err, l.registry.Shutdown(context.WithoutCancel(ctx)))
	}
	a.echo.Listener = listener
	go func() { served <- a.echo.Start("") }()
	serving("http://" + listener.Addr().String())

	<-ctx.Done()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err = errors.Join(l.registry.Shutdown(end), graceful.Shutdown(end, a.echo.Server)) // streams first
	// endregion
	if serr := <-served; !errors.Is(serr, http.ErrServerClosed) {
		err = errors.Join(err, serr)
	}
	return err
}
