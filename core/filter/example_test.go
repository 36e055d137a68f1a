package filter_test

import (
	"fmt"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

// An expression is compiled once and then evaluated for row after row. A row
// is selected only when the answer is true: where the price is NULL, it is
// unknown.
func Example() {
	e := filter.And(
		filter.In("venue", "store", "web"),
		filter.Not(filter.Ge("price", 10)),
	)
	columns := []string{"venue", "price"}
	kinds := []value.Kind{value.KindText, value.KindDecimal}
	program, err := filter.Compile(e, func(name string) (int, value.Kind, bool) {
		for i, c := range columns {
			if c == name {
				return i, kinds[i], true
			}
		}
		return 0, 0, false
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e)
	for _, price := range []any{"9.99", "10.00", nil} {
		v, err := value.Convert(price, value.KindDecimal)
		if err != nil {
			fmt.Println(err)
			return
		}
		row := []value.Value{value.Text("store"), v}
		fmt.Println(v, program.Eval(func(i int) value.Value { return row[i] }))
	}
	// Output:
	// (venue in ("store", "web") and not (price >= 10))
	// 9.99 true
	// 10 false
	// null unknown
}

// Check reports every mistake at once.
func ExampleCheck() {
	e := filter.Or(filter.Eq("stock", nil), filter.Gt("stock", "many"), filter.Eq("pirce", 1))
	fmt.Println(filter.Check(e, func(name string) (value.Kind, bool) { return value.KindInt, name == "stock" }))
	// Output:
	// filter: comparing column "stock": nothing compares with NULL; use IsNull or NotNull
	// filter: comparing column "stock": value: converting text "many" as int: not an integer
	// filter: unknown column "pirce"
}
