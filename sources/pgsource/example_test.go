package pgsource_test

import (
	"fmt"
	"strings"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/pgsource"
)

// A publication that the tables' owner has made, and that is left as it is.
func ExampleNew() {
	src := pgsource.New("postgres://follower@db.example.org/shop", pgsource.Config{
		Publication:      "shop_live",
		FixedPublication: true,
		Tables:           []driver.Table{{Name: "products"}},
	})
	fmt.Println(src.Validate(), src.Scope().Covers(driver.Table{Name: "products"}), src.Scope().Covers(driver.Table{Name: "orders"}))
	// Output: <nil> true false
}

// The statements that an application keeps among its migrations.
func ExampleOutbox_SQL() {
	script, err := pgsource.Outbox{Readers: []string{"shop_live"}}.SQL(driver.Table{Name: "products"}, driver.Table{Schema: "sales", Name: "orders"})
	if err != nil {
		fmt.Println(err)
		return
	}
	lines := strings.Split(strings.TrimSpace(script), "\n")
	fmt.Println(strings.Join(lines[len(lines)-2:], "\n"))
	// Output:
	// SELECT "bindery".watch('"products"');
	// SELECT "bindery".watch('"sales"."orders"');
}
