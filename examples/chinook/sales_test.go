package main

import (
	"context"
	"testing"
)

// TestSales writes to both tables of a query, of which one is bound and one is
// not.
func TestSales(t *testing.T) {
	db, reg := open(t)
	check := func(place int, country string, customers, invoices, total float64) {
		t.Helper()
		if err := reg.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		all := rows(t, reg, "sales")
		got := all[place]
		if got["Country"] != country || got["Customers"] != customers || got["Invoices"] != invoices || got["Total"] != total {
			t.Errorf("of %d countries number %d is %v, want %s with %v customers, %v invoices, %v in all",
				len(all), place, got, country, customers, invoices, total)
		}
	}
	check(0, "USA", 13, 91, 523.06)
	check(1, "Canada", 8, 56, 303.96)

	if _, err := db.NewUpdate().Model((*Invoice)(nil)).Set(`"Total" = "Total" + 300`).Where(`"InvoiceId" = 4`).Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(0, "Canada", 8, 56, 603.96)
	if _, err := db.ExecContext(t.Context(), `UPDATE Customer SET Country = 'Canada' WHERE Country = 'USA'`); err != nil {
		t.Fatal(err)
	}
	check(0, "Canada", 21, 147, 1127.02)
	if n := len(rows(t, reg, "sales")); n != 23 {
		t.Errorf("%d countries are left, want 23", n)
	}
}
