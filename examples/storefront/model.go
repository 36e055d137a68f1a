package main

import (
	"context"
	"time"

	"github.com/uptrace/bun"
)

// The venues of the shop.
const (
	venueStore  = "store"
	venueOnline = "online"
)

// Product is one record on sale. Its JSON fields are the columns' names.
type Product struct {
	bun.BaseModel `bun:"table:products"`

	ID     int64  `bun:"id,pk,autoincrement" json:"id"`
	Name   string `bun:"name,notnull" json:"name"`
	Venue  string `bun:"venue,notnull" json:"venue"`
	Price  Price  `bun:"price,type:numeric(10,2),notnull" json:"price"`
	Active bool   `bun:"active,notnull" json:"active"`
	// UpdatedAt is the time of the last write, in UTC. Writers need not name
	// it: see [Product.BeforeAppendModel] and the triggers in schema.go.
	UpdatedAt time.Time `bun:"updated_at,type:timestamp,nullzero,notnull" json:"updated_at"`
}

var _ bun.BeforeAppendModelHook = (*Product)(nil)

// BeforeAppendModel fills in UpdatedAt where the program left it zero, which
// would otherwise be written as NULL. An update that carries the time that the
// row already had is the trigger's to notice.
func (p *Product) BeforeAppendModel(_ context.Context, query bun.Query) error {
	switch query.(type) {
	case *bun.InsertQuery, *bun.UpdateQuery:
		if p.UpdatedAt.IsZero() {
			// Milliseconds are what SQLite's own clock function shows.
			p.UpdatedAt = time.Now().UTC().Truncate(time.Millisecond)
		}
	}
	return nil
}
