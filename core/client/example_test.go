package client_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/client"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/transports/sse"
)

type Product struct {
	ID    int     `json:"id"`
	Name  string  `json:"name"`
	Price float64 `json:"price"`
}

// A program follows the products of a shop.
func Example() {
	address, close := shop() // "http://127.0.0.1:8080/events" of a server of yours
	defer close()

	products, err := client.Open[Product](address, "products")
	if err != nil {
		log.Fatal(err)
	}
	defer products.Close()
	state, err := products.Ready(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for p := range state.All() {
		fmt.Println(p.Name, p.Price)
	}
	// Output:
	// Blue Train 13
	// Kind of Blue 12.5
}

// shop serves two products.
func shop() (address string, end func()) {
	table := coretest.NewTable[Product]("products", "id")
	table.Put(Product{1, "Kind of Blue", 12.5}, Product{2, "Blue Train", 13})
	e := echo.New()
	reg := core.NewRegistry()
	_ = reg.Add(core.Bind[Product]("products", table, core.OrderBy("name")))
	_ = reg.Watch(&coretest.Source{})
	_ = reg.Serve(sse.New(e.Group("/events")))
	if err := reg.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(e)
	return server.URL + "/events", func() {
		_ = reg.Shutdown(context.Background())
		server.Close()
	}
}
