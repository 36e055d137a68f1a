package main

import (
	"time"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/sources/bunsource"
)

// Venue is what one venue has on sale. No table holds it: it is counted.
type Venue struct {
	Venue    string `bun:"venue,pk" json:"venue"`
	Products int64  `bun:"products" json:"products"`
	MinPrice Price  `bun:"min_price" json:"min_price"`
	MaxPrice Price  `bun:"max_price" json:"max_price"`
}

// countEvery returns how often the products on sale are counted while they change.
// To count a million takes some tenths of a second, so they are counted the less often
// the more there are. The longest wait is below the five seconds that a request waits
// for its mark.
func countEvery(rows int) time.Duration {
	const row, atLeast, atMost = 4 * time.Microsecond, 500 * time.Millisecond, 4 * time.Second
	return min(max(time.Duration(rows)*row, atLeast), atMost)
}

// bindVenues binds a query. Any will do; what it reads must be said. rows is about how
// many products there are.
func bindVenues(db *bun.DB, rows int) *core.Binding[Venue] {
	return bunsource.BindSQL[Venue](db, "venues", bunsource.SQL{
		Query: func(db bun.IDB) *bun.SelectQuery {
			return db.NewSelect().Model((*Product)(nil)).
				Column("venue").
				ColumnExpr("count(*) AS products").
				ColumnExpr("min(price) AS min_price").
				ColumnExpr("max(price) AS max_price").
				Where("active").
				Group("venue")
		},
		DependsOn: []any{(*Product)(nil)},
	}, core.Tune(core.Tuning{MinInterval: countEvery(rows)}))
}
