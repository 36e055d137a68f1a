package bunsource_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/uptrace/bun"
	"modernc.org/sqlite"
	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/sources/bunsource"
)

// product is a row that is ordered in many ways.
type product struct {
	bun.BaseModel `bun:"table:products"`

	ID    int64   `bun:",pk" json:"id"`
	Name  *string `json:"name"`
	Price *int64  `json:"price"`
	Shelf int64   `bun:",notnull" json:"shelf"`
}

// The alphabets of two languages, for SQLite, which knows none.
func init() {
	sqlite.MustRegisterCollationUtf8("german", alphabet("aAäÄbBoOöÖsStTzZ", "äa", "Äa", "öo", "Öo"))
	sqlite.MustRegisterCollationUtf8("swedish", alphabet("aAbBoOsStTzZåÅäÄöÖ"))
}

// alphabet compares texts without regard to case, as if some letters were
// others, and equal ones by their bytes.
func alphabet(letters string, same ...string) func(a, b string) int {
	base := strings.NewReplacer(pairs(same)...)
	rank := func(s string) []int {
		var out []int
		for _, r := range strings.ToLower(base.Replace(s)) {
			out = append(out, strings.IndexRune(strings.ToLower(letters), r))
		}
		return out
	}
	return func(a, b string) int {
		if c := slices.Compare(rank(a), rank(b)); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	}
}

func pairs(same []string) []string {
	var out []string
	for _, s := range same {
		r := []rune(s)
		out = append(out, string(r[0]), string(r[1]))
	}
	return out
}

// eachProducts runs a test with a table of products in each database.
func eachProducts(t *testing.T, test func(t *testing.T, db, plain *bun.DB)) {
	t.Helper()
	for name, open := range map[string]func(testing.TB) (db, plain *bun.DB){"sqlite": openSQLite, "postgres": openPostgres} {
		t.Run(name, func(t *testing.T) {
			db, plain := open(t)
			_, err := plain.ExecContext(t.Context(), "CREATE TABLE products (id BIGINT PRIMARY KEY, name TEXT, price BIGINT, shelf BIGINT NOT NULL)")
			must(t, err)
			test(t, db, plain)
		})
	}
}

// serve starts a registry of the bindings, which hooks watch.
func serve(t *testing.T, db *bun.DB, bindings ...core.Bindable) *core.Registry {
	t.Helper()
	reg := core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), WatchWait: patience, LoadWait: patience}.NewRegistry()
	must(t, reg.Add(bindings...))
	must(t, reg.Watch(bunsource.Hooks(db)))
	must(t, reg.Start(t.Context()))
	t.Cleanup(func() { shutdown(t, reg) })
	return reg
}

// shown returns the keys of what the binding shows, in order.
func shown(b *core.Binding[product]) []int64 {
	out := []int64{}
	for p := range b.All() {
		out = append(out, p.ID)
	}
	return out
}

// found returns what a query finds.
func found(ctx context.Context, t interface{ Fatalf(string, ...any) }, db *bun.DB, query string) []int64 {
	out := []int64{}
	if err := db.NewRaw(query).Scan(ctx, &out); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return out
}

// TestWindowsAgainstTheDatabase changes a table at random and demands that
// limited bindings show what SELECT … ORDER BY … LIMIT finds.
func TestWindowsAgainstTheDatabase(t *testing.T) {
	t.Parallel()
	eachProducts(t, func(t *testing.T, db, plain *bun.DB) {
		ctx := t.Context()
		bytewise, language := `COLLATE "C"`, "de-x-icu"
		if isSQLite(db) {
			bytewise, language = "COLLATE BINARY", "german"
		}
		orders := []struct {
			order []driver.Order
			sql   string
		}{
			{nil, "id"},
			{[]driver.Order{{Column: "price"}}, "price ASC NULLS FIRST, id"},
			{[]driver.Order{{Column: "price", Desc: true}}, "price DESC NULLS LAST, id"},
			{[]driver.Order{{Column: "price", Desc: true, Nulls: driver.NullsFirst}, {Column: "id", Desc: true}}, "price DESC NULLS FIRST, id DESC"},
			{[]driver.Order{{Column: "shelf"}, {Column: "price", Nulls: driver.NullsLast}}, "shelf, price ASC NULLS LAST, id"},
			{[]driver.Order{{Column: "name"}, {Column: "price", Desc: true}}, "name " + bytewise + " ASC NULLS FIRST, price DESC NULLS LAST, id"},
			{[]driver.Order{{Column: "name", Desc: true, Nulls: driver.NullsLast}}, "name " + bytewise + " DESC NULLS LAST, id"},
			{[]driver.Order{{Column: "name", Collation: language}}, `name COLLATE "` + language + `" ASC NULLS FIRST, id`},
			{[]driver.Order{{Column: "shelf", Desc: true}, {Column: "name", Collation: language, Desc: true, Nulls: driver.NullsFirst}}, `shelf DESC, name COLLATE "` + language + `" DESC NULLS FIRST, id`},
		}
		type declared struct {
			opts []core.Option
			sql  string
		}
		var decls []declared
		for i, o := range orders {
			for margin := range 4 {
				limit := 1 + (i+margin)%5
				d := declared{
					opts: []core.Option{core.Ordered(o.order...), core.Limit(limit), core.Tune(core.Tuning{Margin: tuned(margin)})},
					sql:  fmt.Sprintf("SELECT id FROM products ORDER BY %s LIMIT %d", o.sql, limit),
				}
				if margin%2 == 1 {
					d.opts = append(d.opts, core.Where(filter.Ge("price", 2)))
					d.sql = strings.Replace(d.sql, "ORDER", "WHERE price >= 2 ORDER", 1)
				}
				decls = append(decls, d)
			}
		}
		bind := func() (bound []*core.Binding[product], all []core.Bindable) {
			for i, d := range decls {
				b := bunsource.Bind[product](db, fmt.Sprint("b", i), d.opts...)
				bound, all = append(bound, b), append(all, b)
			}
			return bound, all
		}
		bound, all := bind()
		reg := serve(t, db, all...)
		rapid.Check(t, func(t *rapid.T) {
			exec := func(query string, args ...any) {
				if _, err := db.NewRaw(query, args...).Exec(ctx); err != nil {
					t.Fatalf("%s: %v", query, err)
				}
			}
			small := func(what string) int64 { return rapid.Int64Range(0, 9).Draw(t, what) }
			put := func(db bun.IDB) {
				p := product{ID: small("id"), Shelf: small("shelf") % 3}
				if price := small("price"); price > 0 {
					p.Price = &price
				}
				if name := rapid.SampledFrom([]string{"-", "", "a", "A", "ä", "Ä", "z", "Z", "ö", "at", "Ät"}).Draw(t, "name"); name != "-" {
					p.Name = &name
				}
				_, err := db.NewInsert().Model(&p).On("CONFLICT (id) DO UPDATE").
					Set("name = EXCLUDED.name, price = EXCLUDED.price, shelf = EXCLUDED.shelf").Exec(ctx)
				if err != nil {
					t.Fatalf("%v", err)
				}
			}
			for range rapid.IntRange(1, 6).Draw(t, "steps") {
				switch rapid.IntRange(0, 6).Draw(t, "step") {
				default:
					put(db)
				case 0:
					exec("DELETE FROM products WHERE id = ?", small("id"))
				case 1:
					exec("UPDATE products SET price = price - ? WHERE shelf = ?", small("less"), small("shelf")%3)
				case 2:
					exec("DELETE FROM products WHERE price < ?", small("price")/2)
				case 3:
					err := db.RunInTx(ctx, nil, func(_ context.Context, tx bun.Tx) error {
						for range rapid.IntRange(1, 4).Draw(t, "rows") {
							put(tx)
						}
						if rapid.IntRange(0, 3).Draw(t, "rolled back") == 0 {
							return context.Canceled
						}
						return nil
					})
					if err != nil && err != context.Canceled {
						t.Fatalf("%v", err)
					}
				}
				if err := reg.Flush(ctx); err != nil {
					t.Fatalf("Flush: %v", err)
				}
				for i, b := range bound {
					if got, want := shown(b), found(ctx, t, plain, decls[i].sql); !slices.Equal(got, want) {
						t.Fatalf("%s: shows %v, want %v", decls[i].sql, got, want)
					}
				}
			}
		})
		others, all := bind()
		serve(t, db, all...)
		for i, b := range bound {
			if a, o := b.Version().Token, others[i].Version().Token; a != o {
				t.Errorf("%s: token %s after changes, %s when loaded", decls[i].sql, a, o)
			}
		}
	})
}

// offer is a row as shops have them: a flag in the filter, decimals in the order.
type offer struct {
	bun.BaseModel `bun:"table:offers"`

	ID     int64  `bun:",pk,autoincrement" json:"id"`
	Price  string `bun:"type:numeric(10,2),notnull" json:"price"`
	Active bool   `bun:",notnull" json:"active"`
}

// limited counts the queries that have a limit.
type limited struct{ atomic.Int64 }

func (*limited) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context { return ctx }

func (l *limited) AfterQuery(_ context.Context, e *bun.QueryEvent) {
	if strings.Contains(e.Query, " LIMIT ") {
		l.Add(1)
	}
}

// TestChangesBeyondTheMarginAskNothing counts queries while rows change that
// are not among the first.
func TestChangesBeyondTheMarginAskNothing(t *testing.T) {
	for name, open := range map[string]func(testing.TB) (db, plain *bun.DB){"sqlite": openSQLite, "postgres": openPostgres} {
		t.Run(name, func(t *testing.T) {
			db, plain := open(t)
			ctx := t.Context()
			_, err := plain.NewCreateTable().Model((*offer)(nil)).Exec(ctx)
			must(t, err)
			var offers []offer
			for i := range 100 {
				offers = append(offers, offer{Price: fmt.Sprint(i, ".50"), Active: i%5 != 0})
			}
			_, err = plain.NewInsert().Model(&offers).Exec(ctx)
			must(t, err)
			count := &limited{}
			db = db.WithQueryHook(count)
			cheapest := bunsource.Bind[offer](db, "cheapest", core.Where(filter.Eq("active", true)), core.OrderBy("price"), core.Limit(3), core.Tune(core.Tuning{Margin: 2}))
			serve(t, db, cheapest)
			if n := count.Load(); n != 1 {
				t.Fatalf("loading took %d limited queries", n)
			}
			for _, c := range []struct {
				query string
				asks  int64
			}{
				{"UPDATE offers SET price = '99.99' WHERE id = 50", 0},               // far behind
				{"UPDATE offers SET price = '0.01' WHERE id = 1", 0},                 // not met by the filter
				{"UPDATE offers SET price = '0.10' WHERE id = 70", 0},                // comes to the front
				{"UPDATE offers SET price = '1.51' WHERE id = 2", 0},                 // one of the first
				{"DELETE FROM offers WHERE id = 3", 0},                               // the margin takes its place
				{"DELETE FROM offers WHERE id IN (2, 4, 5, 7, 8, 9, 10, 12, 70)", 1}, // and is used up
			} {
				before := count.Load()
				_, err := db.NewRaw(c.query).Exec(ctx)
				must(t, err)
				if n := count.Load() - before; n != c.asks {
					t.Errorf("%s: %d limited queries, want %d", c.query, n, c.asks)
				}
				var got []int64
				for o := range cheapest.All() {
					got = append(got, o.ID)
				}
				if want := found(ctx, t, plain, "SELECT id FROM offers WHERE active ORDER BY price, id LIMIT 3"); !slices.Equal(got, want) {
					t.Errorf("%s: shows %v, want %v", c.query, got, want)
				}
			}
		})
	}
}

// TestCollations orders names as their language does, and keeps that order
// while they change.
func TestCollations(t *testing.T) {
	names := []string{"Zug", "Äpfel", "Öl", "ost", "Apfel"}
	eachProducts(t, func(t *testing.T, db, plain *bun.DB) {
		ctx := t.Context()
		orders := map[string][]string{
			"de-x-icu": {"Apfel", "Äpfel", "Öl", "ost", "Zug"},
			"sv-x-icu": {"Apfel", "ost", "Zug", "Äpfel", "Öl"},
			"C":        {"Apfel", "Zug", "ost", "Äpfel", "Öl"},
		}
		if isSQLite(db) {
			orders = map[string][]string{
				"NOCASE":               {"Apfel", "ost", "Zug", "Äpfel", "Öl"},
				"BINARY":               {"Apfel", "Zug", "ost", "Äpfel", "Öl"},
				driver.ColumnCollation: {"Apfel", "Zug", "ost", "Äpfel", "Öl"},
			}
		}
		var all []core.Bindable
		bound := map[string]*core.Binding[product]{}
		for c := range orders {
			name := "names-" + c
			bound[c] = bunsource.Bind[product](db, name, core.Ordered(driver.Order{Column: "name", Collation: c, Nulls: driver.NullsLast}))
			all = append(all, bound[c])
		}
		serve(t, db, all...)
		check := func(what string, change func([]string) []string) {
			t.Helper()
			for c, want := range orders {
				got := []string{}
				for p := range bound[c].All() {
					if p.Name == nil {
						got = append(got, "NULL")
					} else {
						got = append(got, *p.Name)
					}
				}
				if want := change(slices.Clone(want)); !slices.Equal(got, want) {
					t.Errorf("%s: %s orders %v, want %v", what, c, got, want)
				}
			}
		}
		for i, n := range names {
			_, err := db.NewInsert().Model(&product{ID: int64(i), Name: &n}).Exec(ctx)
			must(t, err)
		}
		check("inserted", func(s []string) []string { return s })
		_, err := db.NewInsert().Model(&product{ID: 10}).Exec(ctx)
		must(t, err)
		check("with a NULL", func(s []string) []string { return append(s, "NULL") })
		_, err = db.NewUpdate().Model(&product{ID: 0}).Set("name = ?", "zz").WherePK().Exec(ctx)
		must(t, err)
		_, err = db.NewDelete().Model(&product{ID: 1}).WherePK().Exec(ctx)
		must(t, err)
		_, err = db.NewUpdate().Model(&product{ID: 4}).Set("shelf = 5").WherePK().Exec(ctx)
		must(t, err)
		for c := range orders {
			collate := ` COLLATE "` + c + `"`
			if c == driver.ColumnCollation {
				collate = ""
			}
			if got, want := shown(bound[c]), found(ctx, t, plain, "SELECT id FROM products ORDER BY name"+collate+" ASC NULLS LAST, id"); !slices.Equal(got, want) {
				t.Errorf("%s orders %v, want %v", c, got, want)
			}
		}
	})
}

// TestColumnCollation orders by the collation that a column was declared with.
func TestColumnCollation(t *testing.T) {
	for name, c := range map[string]struct {
		open   func(testing.TB) (db, plain *bun.DB)
		column string
	}{
		"sqlite":   {openSQLite, "TEXT COLLATE swedish"},
		"postgres": {openPostgres, `TEXT COLLATE "sv-x-icu"`},
	} {
		t.Run(name, func(t *testing.T) {
			db, plain := c.open(t)
			_, err := plain.ExecContext(t.Context(), "CREATE TABLE products (id BIGINT PRIMARY KEY, name "+c.column+", price BIGINT, shelf BIGINT NOT NULL)")
			must(t, err)
			b := bunsource.Bind[product](db, "names", core.Limit(3), core.Ordered(driver.Order{Column: "name", Collation: driver.ColumnCollation, Desc: true}))
			serve(t, db, b)
			for i, n := range []string{"a", "ö", "z", "ä", "å"} {
				_, err := db.NewInsert().Model(&product{ID: int64(i), Name: &n}).Exec(t.Context())
				must(t, err)
			}
			if got, want := shown(b), []int64{1, 3, 4}; !slices.Equal(got, want) {
				t.Errorf("shows %v, want %v", got, want)
			}
		})
	}
}

// TestUnknownCollation says which binding asks for a collation that the
// database has not.
func TestUnknownCollation(t *testing.T) {
	eachProducts(t, func(t *testing.T, db, _ *bun.DB) {
		b := bunsource.Bind[product](db, "names", core.Ordered(driver.Order{Column: "name", Collation: `kling"on`}))
		serve(t, db, b)
		err := b.Status().Err
		if err == nil || !strings.Contains(err.Error(), `binding "names" (window_test.go:`) || !strings.Contains(err.Error(), `kling"on`) {
			t.Errorf("the error is %v", err)
		}
	})
}

// tuned is the Margin of a Tuning: 0 means the default there, and negative none.
func tuned(margin int) int {
	if margin == 0 {
		return -1
	}
	return margin
}
