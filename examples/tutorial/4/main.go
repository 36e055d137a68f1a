// Command 4 is the kitchen board with people: cooks, waiters, and guests.
package main

import (
	"context"
	"embed"
	"errors"
	"log"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-playground/validator/v10"
	"github.com/labstack/echo/v4"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/plugins/jsclient"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/transports/graceful"
	"github.com/binderyhq/bindery/transports/rest"
	"github.com/binderyhq/bindery/transports/sse"
	"github.com/binderyhq/bindery/transports/websocket"
)

// region model

// Order is a dish that a table waits for.
type Order struct {
	bun.BaseModel `bun:"table:orders"`

	ID     int64  `bun:"id,pk,autoincrement"          json:"id"`
	Table  int    `bun:"table_no,notnull"             json:"table"  validate:"min=1,max=40"`
	Dish   string `bun:"dish,notnull"                 json:"dish"   validate:"min=1,max=60"`
	Served bool   `bun:"served,notnull,default:false" json:"served"`
	Waiter string `bun:"waiter,notnull"               json:"waiter"`
}

// Person works here.
type Person struct {
	bun.BaseModel `bun:"table:staff"`

	Name string `bun:"name,pk"      json:"name"`
	Cook bool   `bun:"cook,notnull" json:"cook"`
}

// endregion

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, "127.0.0.1:8090", "file:cafe-4.sqlite?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_txlock=immediate"); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr, dsn string) error {
	db, err := bunsource.Open("sqlite", dsn, sqlitedialect.New())
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if err := createTables(ctx, db); err != nil {
		return err
	}
	k := newKitchen(db)
	if err := k.registry.Start(ctx); err != nil {
		return err
	}
	go func() {
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = k.registry.Shutdown(end) // streams first
		_ = graceful.Shutdown(end, k.echo.Server)
	}()
	graceful.CloseUnused(k.echo.Server)
	if err := k.echo.Start(addr); !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(err, k.registry.Shutdown(context.Background()))
	}
	return k.registry.Shutdown(context.Background()) // waits for the one above
}

// region app

//go:embed index.html
var page embed.FS

// validate is asked by rest before a row is written.
type validate struct{ fields *validator.Validate }

func (v validate) Validate(row any) error { return v.fields.Struct(row) }

// kitchen is the whole application.
type kitchen struct {
	echo     *echo.Echo
	registry *core.Registry
	waiting  *core.Binding[Order]
	staff    *core.Binding[Person]
	sessions *sessions
}

func newKitchen(db *bun.DB) *kitchen {
	k := &kitchen{echo: echo.New(), registry: core.NewRegistry(), sessions: &sessions{names: map[string]string{}}}
	k.waiting = bunsource.Bind[Order](db, "waiting",
		core.Where(filter.Eq("served", false)),
		core.OrderBy("id"),
		core.Writable(core.WriteRules{RowsMayLeave: true}))
	k.staff = bunsource.Bind[Person](db, "staff")
	table := bunsource.BindFamily[Order](db, "table", // what guests see of their own table
		core.Where(filter.Eq("table_no", filter.Param("table"))),
		core.Columns("id", "dish", "served"))

	reg := k.registry
	reg.Add(k.waiting, k.staff, table)
	reg.Watch(bunsource.Hooks(db))
	reg.Authorize(core.AuthorizerFunc(k.authorize))
	k.staff.OnChange(func(core.Delta[Person]) { // whoever is dismissed sees nothing more
		if err := reg.Reauthorize(reg.Stopping()); err != nil && reg.Stopping().Err() == nil {
			log.Print(err)
		}
	})
	k.echo.Use(echo.WrapMiddleware(http.NewCrossOriginProtection().Handler), k.identify)
	reg.Serve(
		rest.New(k.echo.Group("/api")),
		sse.New(k.echo.Group("/events")),
		websocket.New(k.echo.Group("/ws")),
	)
	reg.Use(jsclient.New(k.echo.Group("/bindery")))

	k.echo.Validator = validate{validator.New(validator.WithRequiredStructEnabled())}
	k.echo.POST("/session", k.signIn)
	k.echo.DELETE("/session", k.signOut)
	k.echo.FileFS("/", "index.html", page)
	return k
}

// endregion

func createTables(ctx context.Context, db *bun.DB) error {
	for _, model := range []any{(*Order)(nil), (*Person)(nil)} {
		if _, err := db.NewCreateTable().Model(model).IfNotExists().Exec(ctx); err != nil {
			return err
		}
	}
	first := []Person{{Name: "Ada", Cook: true}, {Name: "Ravi"}}
	_, err := db.NewInsert().Model(&first).Ignore().Exec(ctx)
	return err
}
