package main

import (
	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/sources/bunsource"
)

// CountrySales is what was sold to one country. No table holds it.
type CountrySales struct {
	Country string `bun:"Country,pk" json:"Country"`
	// Place counts countries from the one that paid most.
	Place     int64  `bun:"Place" json:"Place"`
	Customers int64  `bun:"Customers" json:"Customers"`
	Invoices  int64  `bun:"Invoices" json:"Invoices"`
	Total     Amount `bun:"Total" json:"Total"`
}

// countrySales joins, groups and ranks. SQLite adds amounts up as floats, so
// they are rounded to cents.
const countrySales = `
WITH sums AS (
	SELECT c."Country", count(DISTINCT c."CustomerId") AS "Customers",
		count(i."InvoiceId") AS "Invoices", coalesce(round(sum(i."Total"), 2), 0) AS "Total"
	FROM "Customer" AS c
	LEFT JOIN "Invoice" AS i ON i."CustomerId" = c."CustomerId"
	WHERE c."Country" IS NOT NULL
	GROUP BY c."Country")
SELECT *, rank() OVER (ORDER BY "Total" DESC) AS "Place" FROM sums`

func bindSales(db *bun.DB) *core.Binding[CountrySales] {
	return bunsource.BindSQL[CountrySales](db, "sales",
		bunsource.SQL{Text: countrySales, DependsOn: []any{"Customer", (*Invoice)(nil)}},
		core.OrderBy("Place"))
}
