package pgsource_test

import (
	"fmt"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/sources/pgsource"
)

// A publication that the tables' owner has made, and that is left as it is.
func ExampleNew() {
	src := pgsource.New("postgres://follower@db.example.org/shop", &pgsource.Config{
		Publication:      "shop_live",
		FixedPublication: true,
		Tables:           []core.Table{{Name: "products"}},
	})
	fmt.Println(src.Validate(), src.Covers(core.Table{Name: "products"}), src.Covers(core.Table{Name: "orders"}))
	// Output: <nil> true false
}
