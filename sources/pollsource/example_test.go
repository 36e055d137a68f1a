package pollsource_test

import (
	"context"
	"fmt"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/pollsource"
)

type Product struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

// A table that nobody reports on is kept current by reading it again.
func ExampleEvery() {
	ctx := context.Background()
	table := coretest.NewTable[Product]("products", "id")
	table.Put(Product{1, "Kettle"})

	products := core.Bind("products", table)
	reg := core.NewRegistry()
	reg.Add(products)
	reg.Watch(pollsource.Every(10 * time.Millisecond))
	if err := reg.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer reg.Shutdown(ctx)

	changed := make(chan struct{}, 2) // the first call tells what is there already
	stop := products.OnChange(func(core.Delta[Product]) { changed <- struct{}{} })
	defer stop()
	table.Put(Product{2, "Teapot"}) // and nobody is told
	for products.Len() < 2 {
		<-changed
	}
	for p := range products.All() {
		fmt.Println(p.ID, p.Name)
	}
	// Output:
	// 1 Kettle
	// 2 Teapot
}

// An expensive comparison is made only when a cheap question has a new answer.
func ExampleProbe() {
	revision := func(context.Context, driver.Schema) (string, error) { return "r17", nil }
	source := pollsource.New(time.Second, pollsource.Probe(revision), pollsource.Config{
		MaxInterval: time.Minute, // while the answer stays the same
	})
	fmt.Println(source.Name(), source.Validate())
	// Output:
	// pollsource <nil>
}
