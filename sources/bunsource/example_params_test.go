package bunsource_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/sources/bunsource"
)

type article struct {
	bun.BaseModel `bun:"table:products"`
	ID            int64   `bun:",pk" json:"id"`
	Name          string  `bun:",notnull" json:"name"`
	Status        string  `bun:",notnull" json:"status"`
	Price         float64 `bun:",notnull,type:real" json:"price"`
}

// A filter bar and a search box need no code but the family's declaration.
// Parameters that are not given restrict nothing.
func ExampleBindFamily_filterBar() {
	ctx := context.Background()
	pool, err := sql.Open("sqlite", "file:filterbar?mode=memory&cache=shared")
	if err != nil {
		fmt.Println(err)
		return
	}
	pool.SetMaxOpenConns(1)
	db := bun.NewDB(pool, sqlitedialect.New())
	defer func() { _ = db.Close() }()
	rows := []article{
		{ID: 1, Name: "Green tea", Status: "open", Price: 4},
		{ID: 2, Name: "Teapot", Status: "paid", Price: 30},
		{ID: 3, Name: "Cup", Status: "open", Price: 8},
		{ID: 4, Name: "Black TEA", Status: "void", Price: 5},
	}
	if _, err := db.NewCreateTable().Model(&rows[0]).Exec(ctx); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := db.NewInsert().Model(&rows).Exec(ctx); err != nil {
		fmt.Println(err)
		return
	}

	shelf := bunsource.BindFamily[article](db, "shelf",
		core.Where(
			filter.In("status", filter.Param("status").Repeated().Optional()),
			filter.Le("price", filter.Param("to").Optional()),
			filter.ContainsFold("name", filter.Param("q").Optional()),
		),
		core.OrderBy("name"), core.OrderParam("sort", "price", "-price"))
	reg := core.Config{Logger: slog.New(slog.DiscardHandler)}.NewRegistry()
	_ = reg.Add(shelf) // problems are reported by Start
	if err := reg.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = reg.Shutdown(ctx) }()

	for _, args := range []core.Args{
		nil,
		{"q": "tea", "sort": "-price"},
		{"status": []string{"paid", "open"}, "to": 10},
	} {
		m, err := shelf.Open(ctx, args)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Print(m.ID(), ":")
		for p := range m.All() {
			fmt.Printf(" %s;", p.Name)
		}
		fmt.Println()
		m.Close()
	}
	_, err = shelf.Open(ctx, core.Args{"sort": "status"})
	fmt.Println(err)
	// Output:
	// shelf: Black TEA; Cup; Green tea; Teapot;
	// shelf?q=tea&sort=-price: Teapot; Black TEA; Green tea;
	// shelf?status=open&status=paid&to=10: Cup; Green tea;
	// core: binding "shelf": parameter "sort" must be one of: price; -price
}
