// Command minimal is a program with one binding and REST, for a test of what that
// links.
package main

import (
	"context"
	"log"

	"github.com/labstack/echo/v4"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/transports/rest"
)

type product struct {
	bun.BaseModel `bun:"table:products"`

	ID   int64  `bun:",pk,autoincrement" json:"id"`
	Name string `json:"name"`
}

func main() {
	db, err := bunsource.Open("sqlite", "file:minimal.db", sqlitedialect.New())
	if err != nil {
		log.Fatal(err)
	}
	e := echo.New()
	reg := core.NewRegistry()
	_ = reg.Add(bunsource.Bind[product](db, "products"))
	_ = reg.Watch(bunsource.Hooks(db))
	_ = reg.Serve(rest.New(e.Group("/api")))
	if err := reg.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	log.Fatal(e.Start("127.0.0.1:0"))
}
