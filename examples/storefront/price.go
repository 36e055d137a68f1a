package main

import (
	"database/sql"
	"errors"
	"fmt"
)

// Price is an amount of money with two decimals and at most ten digits, which
// a float64 carries there and back without loss: it prints as it was written.
type Price float64

var _ sql.Scanner = (*Price)(nil)

// Scan reads a price in whichever form the database sends it: SQLite keeps
// 7.00 as an integer, which Bun does not read into a float by itself, and 7.50
// as a float; Postgres sends text.
func (p *Price) Scan(src any) error {
	var n sql.Null[float64]
	if err := n.Scan(src); err != nil {
		return fmt.Errorf("storefront: reading a price: %w", err)
	}
	if !n.Valid {
		return errors.New("storefront: reading a price: it is NULL")
	}
	*p = Price(n.V)
	return nil
}
