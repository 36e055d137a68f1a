package bunsource

import (
	"fmt"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
)

type sqlShop struct {
	bun.BaseModel `bun:"table:sql_shops,alias:s"`
	ID            int64  `bun:",pk"`
	City          string `bun:",notnull"`
}

type sqlSale struct {
	bun.BaseModel `bun:"table:sql_sales,alias:l"`
	ID            int64 `bun:",pk"`
	ShopID        int64 `bun:",notnull"`
	Amount        int64 `bun:",notnull"`
}

// cityTotal is a row of queries over both tables. It is no model.
type cityTotal struct {
	City   string `bun:",pk" json:"city"`
	Sales  int64  `json:"sales"`
	Amount int64  `bun:",scanonly" json:"amount"`
}

const cityTotals = `SELECT s.city, count(l.id) AS sales, coalesce(sum(l.amount), 0) AS amount
	FROM sql_shops AS s LEFT JOIN sql_sales AS l ON l.shop_id = s.id
	WHERE s.id < ?
	GROUP BY s.city ORDER BY s.city DESC;`

func createShops(t testing.TB, db *bun.DB) {
	t.Helper()
	mustExec(t, db, "DROP TABLE IF EXISTS sql_shops")
	mustExec(t, db, "DROP TABLE IF EXISTS sql_sales")
	createTable(t, db, sqlShop{ID: 1, City: "Rome"}, sqlShop{ID: 2, City: "Oslo"}, sqlShop{ID: 3, City: "Rome"})
	createTable(t, db, sqlSale{ID: 1, ShopID: 1, Amount: 5}, sqlSale{ID: 2, ShopID: 3, Amount: 7})
}

var bothTables = []any{(*sqlShop)(nil), "sql_sales"}

func totalsOf(b *core.Binding[cityTotal]) string {
	var out []string
	for r := range b.All() {
		out = append(out, fmt.Sprintf("%s %d %d", r.City, r.Sales, r.Amount))
	}
	return strings.Join(out, ", ")
}
