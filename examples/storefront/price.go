package main

import (
	"database/sql"
	"fmt"
	"strconv"
)

// Price is an amount of money with two decimals and at most ten digits, which
// a float64 carries there and back without loss: it prints as it was written.
type Price float64

var _ sql.Scanner = (*Price)(nil)

// Scan reads a price in whichever form the database sends it: SQLite keeps
// 7.00 as an integer and 7.50 as a float, Postgres sends text.
func (p *Price) Scan(src any) error {
	switch v := src.(type) {
	case int64:
		*p = Price(v)
	case float64:
		*p = Price(v)
	case string:
		return p.parse(v)
	case []byte:
		return p.parse(string(v))
	default:
		return fmt.Errorf("storefront: reading a price: cannot read it from %T", src)
	}
	return nil
}

func (p *Price) parse(s string) error {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return fmt.Errorf("storefront: reading price %q: %w", s, err)
	}
	*p = Price(f)
	return nil
}
