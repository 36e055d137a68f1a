// Command custom-plugin serves a list of notes, and writes an audit log: who wrote
// what, and what became of it. See README.md for what to try.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/examples/custom-plugin/auditlog"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/transports/graceful"
	"github.com/binderyhq/bindery/transports/rest"
)

// Note is what people write.
type Note struct {
	bun.BaseModel `bun:"table:notes" json:"-"`

	ID   int64  `bun:"id,pk,autoincrement" json:"id"`
	Text string `bun:"text,notnull" json:"text"`
}

// stopWithin bounds the way from a signal to the end of the program. Tests have more time,
// since a busy machine may take some of it away.
var stopWithin = 5 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, "127.0.0.1:8086", os.Stdout, func(url string, _ *bun.DB) {
		fmt.Fprintf(os.Stderr, "custom-plugin: serving at %s\n", url)
	})
	if err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx is done. serving is called once.
func run(ctx context.Context, addr string, audit io.Writer, serving func(url string, db *bun.DB)) error {
	db, err := bunsource.Open("sqlite", "file:notes?mode=memory&cache=shared", sqlitedialect.New())
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if _, err := db.NewCreateTable().Model((*Note)(nil)).IfNotExists().Exec(ctx); err != nil {
		return err
	}
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	// region middleware
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			user := c.Request().Header.Get("X-User") // in earnest: from the session, or a token
			c.SetRequest(c.Request().WithContext(auditlog.WithUser(c.Request().Context(), user)))
			return next(c)
		}
	})
	// endregion
	reg := core.NewRegistry()
	// region assemble
	reg.Add(bunsource.Bind[Note](db, "notes", core.Writable()))
	reg.Watch(bunsource.Hooks(db))
	reg.Serve(rest.New(e.Group("/api")))
	reg.Use(auditlog.New(audit))
	// endregion
	if err := reg.Start(ctx); err != nil {
		return err
	}
	// The program's own writes have a user, too.
	welcome := auditlog.WithUser(ctx, "the program")
	if _, err := db.NewInsert().Model(&Note{Text: "welcome"}).Exec(welcome); err != nil {
		return errors.Join(err, reg.Shutdown(context.WithoutCancel(ctx)))
	}
	if e.Listener, err = net.Listen("tcp", addr); err != nil {
		return errors.Join(err, reg.Shutdown(context.WithoutCancel(ctx)))
	}
	graceful.CloseUnused(e.Server)
	served := make(chan error, 1)
	go func() { served <- e.Start("") }()
	serving("http://"+e.Listener.Addr().String(), db)
	<-ctx.Done()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	err = errors.Join(reg.Shutdown(end), graceful.Shutdown(end, e.Server))
	if serr := <-served; !errors.Is(serr, http.ErrServerClosed) {
		err = errors.Join(err, serr)
	}
	return err
}
