package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/schema"
	_ "modernc.org/sqlite"

	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

func TestSeedProductsIsWhatTheContractSays(t *testing.T) {
	for _, n := range []int{0, 10, 1000, 4000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			products := seedProducts(n)
			if len(products) != n {
				t.Fatalf("got %d products, want %d", len(products), n)
			}
			names := make(map[string]bool)
			perVenue := make(map[string]int)
			active := make(map[string]int)
			for _, p := range products {
				if names[p.Name] {
					t.Errorf("the name %q comes twice", p.Name)
				}
				names[p.Name] = true
				perVenue[p.Venue]++
				if p.Active {
					active[p.Venue]++
				}
				if !strings.Contains(p.Name, " – ") {
					t.Errorf("name %q: want an artist and an album", p.Name)
				}
				cents := float64(p.Price) * 100
				if math.Abs(cents-math.Round(cents)) > 1e-6 || p.Price < 1 || p.Price >= 100 {
					t.Errorf("%q: price %v is not one a shop would ask", p.Name, p.Price)
				}
			}
			if perVenue[venueStore] != n/2 || perVenue[venueOnline] != n/2 {
				t.Errorf("venues: got %v, want half of %d each", perVenue, n)
			}
			if got := active[venueStore] + active[venueOnline]; got != n*9/10 {
				t.Errorf("active: got %d, want %d", got, n*9/10)
			}
			if n >= 1000 && active[venueStore] != active[venueOnline] {
				t.Errorf("active by venue: got %v, want them even", active)
			}
		})
	}
}

func TestSeedProductsIsTheSameEveryTime(t *testing.T) {
	a, b := seedProducts(1500), seedProducts(3000)
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("product %d: %+v and %+v", i, a[i], b[i])
		}
	}
}

func newSQLite(t *testing.T) *bun.DB {
	t.Helper()
	// Recursive triggers are the setting under which a trigger could set
	// itself off.
	dsn := "file:" + filepath.ToSlash(filepath.Join(t.TempDir(), "shop.db")) + "?_pragma=recursive_triggers(1)"
	sqldb, err := sql.Open("sqlite", dsn)
	if err != nil {
		t.Fatal(err)
	}
	return newDB(t, sqldb, sqlitedialect.New())
}

func newDB(t *testing.T, sqldb *sql.DB, d schema.Dialect) *bun.DB {
	t.Helper()
	db := bun.NewDB(sqldb, d)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestPrepareDatabaseSQLite(t *testing.T) {
	testPrepareDatabase(t, newSQLite(t))
}

func TestPrepareDatabasePostgres(t *testing.T) {
	db := newPostgres(t)
	testPrepareDatabase(t, db)

	t.Run("price keeps two decimals", func(t *testing.T) {
		ctx := context.Background()
		if _, err := db.ExecContext(ctx, "UPDATE products SET price = 12.345 WHERE id = 2"); err != nil {
			t.Fatal(err)
		}
		var p Product
		if err := db.NewSelect().Model(&p).Where("id = 2").Scan(ctx); err != nil {
			t.Fatal(err)
		}
		if p.Price != 12.35 {
			t.Errorf("price is %v, want 12.35", p.Price)
		}
	})
}

// Several programs that start on one empty database must not fill it twice,
// nor fail because another one made the table.
func TestPrepareDatabaseAtTheSameTime(t *testing.T) {
	db := newPostgres(t)
	const programs, rows = 4, 30
	errs := make(chan error, programs)
	for range programs {
		go func() { errs <- prepareDatabase(context.Background(), db, rows) }()
	}
	for range programs {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	n, err := db.NewSelect().Model((*Product)(nil)).Count(context.Background())
	if err != nil || n != rows {
		t.Errorf("got %d products (%v), want %d", n, err, rows)
	}
}

func newPostgres(t *testing.T) *bun.DB {
	t.Helper()
	sqldb, err := sql.Open("pgx", pgtest.Shared(t).CreateDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	return newDB(t, sqldb, pgdialect.New())
}

// testPrepareDatabase holds for every dialect.
func testPrepareDatabase(t *testing.T, db *bun.DB) {
	ctx := context.Background()
	const rows = 1200
	for range 2 { // the second finds everything there and fills in nothing
		if err := prepareDatabase(ctx, db, rows); err != nil {
			t.Fatal(err)
		}
	}
	var products []Product
	if err := db.NewSelect().Model(&products).Order("id").Scan(ctx); err != nil {
		t.Fatal(err)
	}
	if len(products) != rows {
		t.Fatalf("got %d products, want %d", len(products), rows)
	}
	want := seedProducts(rows)
	for i, got := range products {
		if age := time.Since(got.UpdatedAt); age < -time.Minute || age > time.Hour {
			t.Fatalf("product %d: updated_at %v is not the time of the insert", got.ID, got.UpdatedAt)
		}
		got.ID, got.UpdatedAt = 0, time.Time{}
		if got != want[i] {
			t.Fatalf("product %d: got %+v, want %+v", i, got, want[i])
		}
	}
	body, err := json.Marshal(products[0])
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(body, &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"id", "name", "venue", "price", "active", "updated_at"} {
		if _, ok := fields[name]; !ok {
			t.Errorf("JSON %s: no field %q", body, name)
		}
	}
	if len(fields) != 6 {
		t.Errorf("JSON %s: got %d fields, want 6", body, len(fields))
	}

	t.Run("updated_at", func(t *testing.T) { testUpdatedAt(t, db) })
}

func testUpdatedAt(t *testing.T, db *bun.DB) {
	ctx := context.Background()
	old := time.Date(2001, 2, 3, 4, 5, 6, 789e6, time.UTC)
	read := func(t *testing.T) (p Product) {
		t.Helper()
		if err := db.NewSelect().Model(&p).Where("id = 1").Scan(ctx); err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, tc := range []struct {
		name  string
		fresh bool // whether the write is to move updated_at to now
		write func(p Product) (sql.Result, error)
	}{
		{"plain SQL that does not name it", true, func(Product) (sql.Result, error) {
			return db.ExecContext(ctx, "UPDATE products SET price = 7.25 WHERE id = 1")
		}},
		{"a bulk statement", true, func(Product) (sql.Result, error) {
			return db.ExecContext(ctx, "UPDATE products SET price = price + 1")
		}},
		{"a whole model that was read before", true, func(p Product) (sql.Result, error) {
			p.Name = "Somebody – Something (LP)"
			return db.NewUpdate().Model(&p).WherePK().Exec(ctx)
		}},
		{"a whole model without a time", true, func(p Product) (sql.Result, error) {
			p.UpdatedAt = time.Time{}
			return db.NewUpdate().Model(&p).WherePK().Exec(ctx)
		}},
		{"one column of a model", true, func(p Product) (sql.Result, error) {
			p.Active = !p.Active
			return db.NewUpdate().Model(&p).Column("active").WherePK().Exec(ctx)
		}},
		{"plain SQL that names it", false, func(Product) (sql.Result, error) {
			return db.ExecContext(ctx, "UPDATE products SET price = 3, updated_at = ? WHERE id = 1", old.Add(time.Hour))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := db.ExecContext(ctx, "UPDATE products SET updated_at = ? WHERE id = 1", old); err != nil {
				t.Fatal(err)
			}
			before := read(t)
			if !before.UpdatedAt.Equal(old) {
				t.Fatalf("updated_at is %v after it was set to %v", before.UpdatedAt, old)
			}
			if _, err := tc.write(before); err != nil {
				t.Fatal(err)
			}
			after := read(t).UpdatedAt
			if tc.fresh && time.Since(after).Abs() > time.Hour {
				t.Errorf("updated_at is %v, want now", after)
			}
			if !tc.fresh && !after.Equal(old.Add(time.Hour)) {
				t.Errorf("updated_at is %v, want the time that the statement named", after)
			}
		})
	}
}
