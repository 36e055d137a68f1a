// Command 5 is the kitchen board as it is run: on SQLite or Postgres, beside other
// programs, with metrics, an admin page and probes.
package main

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-playground/validator/v10"
	"github.com/labstack/echo/v4"
	"github.com/uptrace/bun"
	_ "modernc.org/sqlite"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/plugins/health"
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
	dsn := cmp.Or(os.Getenv("DATABASE"), "cafe-5.sqlite")
	err := run(ctx, "127.0.0.1:8090", dsn, os.Getenv("ADMIN_TOKEN"), production, func(url string) { log.Print("serving at ", url) })
	if err != nil {
		log.Fatal(err)
	}
}

// region run
func run(ctx context.Context, addr, dsn, adminToken string, drain health.Config, serving func(url string)) (err error) {
	db, others, err := openDatabase(dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := createTables(ctx, db); err != nil {
		return err
	}
	k := newKitchen(db, others)
	h := k.operate(adminToken, drain)
	if err := k.registry.Start(ctx); err != nil {
		return err
	}
	graceful.CloseUnused(k.echo.Server)
	k.echo.Server.ReadHeaderTimeout = 10 * time.Second
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return errors.Join(err, k.registry.Shutdown(context.WithoutCancel(ctx)))
	}
	k.echo.Listener = listener
	served := make(chan error, 1)
	go func() { served <- k.echo.Start("") }()
	serving("http://" + listener.Addr().String())
	select {
	case <-ctx.Done():
		err = nil
	case err = <-served: // it could not go on
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	return errors.Join(err, h.Drain(end), k.registry.Shutdown(end), graceful.Shutdown(end, k.echo.Server))
}

// endregion

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

func newKitchen(db *bun.DB, others driver.Source) *kitchen {
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
	reg.Watch(bunsource.Hooks(db), others)
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
	_, err := db.NewInsert().Model(&first).On("CONFLICT DO NOTHING").Exec(ctx)
	return err
}
