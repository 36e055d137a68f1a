package bunsource

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/bunsource/internal/sqlgen"
)

// Plain databases, without Bindery's driver wrapper: the loader must not need it.

func TestSoftDeletedRowsAreNotThere(t *testing.T) {
	type note struct {
		bun.BaseModel `bun:"table:notes,alias:n"`
		ID            int64     `bun:",pk"`
		Text          string    `bun:",notnull"`
		DeletedAt     time.Time `bun:",soft_delete,nullzero"`
	}
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		createTable(t, db, note{ID: 1, Text: "a"}, note{ID: 2, Text: "b"}, note{ID: 3, Text: "c"})
		if _, err := db.NewDelete().Model(&note{ID: 2}).WherePK().Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		l := preparedLoader[note](t, db)
		ids := func(q driver.Query) string {
			t.Helper()
			rows, err := l.Query(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			var ids []int64
			for _, r := range rows {
				ids = append(ids, r.ID)
			}
			slices.Sort(ids)
			return fmt.Sprint(ids)
		}
		either := sqlgen.NewCondition(func(q *bun.SelectQuery) *bun.SelectQuery {
			return q.Where("?TableAlias.text = 'a'").WhereOr("?TableAlias.text = ?", "b")
		})
		trash := sqlgen.NewCondition((*bun.SelectQuery).WhereDeleted)
		all := sqlgen.NewCondition((*bun.SelectQuery).WhereAllWithDeleted)
		keys := []driver.Key{driver.KeyOf(2), driver.KeyOf(3)}
		for _, c := range []struct {
			name string
			q    driver.Query
			want string
		}{
			{"all", driver.Query{}, "[1 3]"},
			{"by key", driver.Query{Keys: keys}, "[3]"},
			{"by filter", driver.Query{Filter: filter.Eq("text", "b")}, "[]"},
			{"an OR", driver.Query{Where: either}, "[1]"},
			{"an OR, by key", driver.Query{Where: either, Keys: keys}, "[]"},
			{"an OR, by key and filter", driver.Query{Where: either, Keys: []driver.Key{driver.KeyOf(1), driver.KeyOf(3)}, Filter: filter.Eq("text", "a")}, "[1]"},
			{"the deleted", driver.Query{Where: trash}, "[2]"},
			{"the deleted, by key", driver.Query{Where: trash, Keys: keys}, "[2]"},
			{"with the deleted", driver.Query{Where: all}, "[1 2 3]"},
		} {
			if got := ids(c.q); got != c.want {
				t.Errorf("%s: %s, want %s", c.name, got, c.want)
			}
		}
	})
}

func TestTimesAreInUTC(t *testing.T) {
	type Inner struct{ Seen time.Time }
	type event struct {
		bun.BaseModel `bun:"table:events"`
		ID            int64 `bun:",pk"`
		At            time.Time
		Maybe         *time.Time
		Null          bun.NullTime
		SQLNull       sql.NullTime
		*Inner
		Nested Inner `bun:"embed:nested_"`
	}
	at := time.Date(2024, 7, 1, 12, 0, 0, 0, time.FixedZone("CEST", 7200))
	utc := at.UTC()
	check := func(t *testing.T, e *event) {
		t.Helper()
		for name, got := range map[string]time.Time{"At": e.At, "Maybe": *e.Maybe, "Null": e.Null.Time, "SQLNull": e.SQLNull.Time, "Inner": e.Seen, "Nested": e.Nested.Seen} {
			if got != utc { // == compares the location too
				t.Errorf("%s is %v, want %v", name, got, utc)
			}
		}
	}
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		db.SetMaxOpenConns(1)
		if db.Dialect().Name() == dialect.PG {
			mustExec(t, db, "SET TIME ZONE 'Asia/Tokyo'")
		}
		createTable(t, db, event{ID: 1, At: at, Maybe: &at, Null: bun.NullTime{Time: at}, SQLNull: sql.NullTime{Time: at, Valid: true}, Inner: &Inner{at}, Nested: Inner{at}}, event{ID: 2})
		if db.Dialect().Name() == dialect.SQLite {
			mustExec(t, db, "UPDATE events SET at = '2024-07-01 12:00:00+02:00', maybe = '2024-07-01T12:00:00+02:00' WHERE id = 1")
		}
		l := preparedLoader[event](t, db)
		rows, err := l.Load(t.Context(), []driver.Key{driver.KeyOf(1)})
		if err != nil || len(rows) != 1 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		check(t, rows[0])
		s, _ := l.Schema()
		if v := l.Value(rows[0], s.Column("at")); v != value.Time(at) {
			t.Errorf("value of at: %v", v)
		}
		if rows, err = l.Load(t.Context(), []driver.Key{driver.KeyOf(2)}); err != nil || len(rows) != 1 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		for _, c := range []string{"maybe", "null", "sql_null"} {
			if v := l.Value(rows[0], s.Column(c)); !v.IsNull() {
				t.Errorf("value of %s: %v, want NULL", c, v)
			}
		}
	})
}

// A resolver sends selects to a replica, which may lag behind what is reported.
type replicaResolver struct{ t *testing.T }

func (r replicaResolver) ResolveConn(context.Context, bun.Query) bun.IConn {
	r.t.Error("a read went to the replica")
	return nil
}

func (replicaResolver) Close() error { return nil }

func TestReadsGoToThePrimary(t *testing.T) {
	plain := loaderSQLite(t)
	createTable(t, plain, intKeyed{ID: 1})
	db := bun.NewDB(plain.DB, sqlitedialect.New(), bun.WithConnResolver(replicaResolver{t}))
	l := preparedLoader[intKeyed](t, db)
	if rows := loadAll(t, l); len(rows) != 1 {
		t.Errorf("%d rows", len(rows))
	}
}

func TestLoadErrorsNameTheTable(t *testing.T) {
	db := loaderSQLite(t)
	l := NewLoader[intKeyed](db)
	for name, call := range map[string]func() error{
		"Load":    func() error { _, err := l.Load(t.Context(), nil); return err },
		"Prepare": func() error { return l.refine(t.Context()) },
		"order": func() error {
			_, err := l.Query(t.Context(), driver.Query{Limit: 1, Order: []driver.Order{{Column: "nope"}}})
			return err
		},
		"a stray": func() error { _, err := l.Query(t.Context(), driver.Query{Where: strayCondition{}}); return err },
		"Where": func() error {
			_, err := l.Query(t.Context(), driver.Query{Where: sqlgen.NewCondition(nil)})
			return err
		},
	} {
		err := call()
		if err == nil || !strings.HasPrefix(err.Error(), "bunsource: ") || !strings.Contains(err.Error(), `"Int Keyed"`) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	type track struct {
		bun.BaseModel `bun:"table:tracks"`
		ID            int64     `bun:",pk"`
		Name          string    `bun:",notnull"`
		Price         int64     `bun:",notnull"`
		Added         time.Time `bun:",notnull"`
	}
	for _, backend := range []struct {
		name string
		open func(b *testing.B) *bun.DB
	}{
		{"sqlite", func(b *testing.B) *bun.DB { return loaderSQLite(b, walMode) }},
		{"postgres", func(b *testing.B) *bun.DB { return loaderPostgres(b) }},
	} {
		b.Run(backend.name, func(b *testing.B) {
			db := backend.open(b)
			rows := make([]track, 10_000)
			for i := range rows {
				rows[i] = track{ID: int64(i), Name: fmt.Sprintf("track %d", i), Price: 99, Added: time.Now()}
			}
			createTable(b, db, rows...)
			l := preparedLoader[track](b, db)
			for _, n := range []int{1, 100} {
				b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
					keys := make([]driver.Key, n)
					b.ReportAllocs()
					i := 0
					for b.Loop() {
						for j := range keys {
							keys[j] = driver.KeyOf((i*n + j*97) % len(rows))
						}
						i++
						if _, err := l.Load(b.Context(), keys); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}

// strayCondition is a condition of another loader's.
type strayCondition struct{}

func (strayCondition) String() string { return "7" }

func (strayCondition) Validate() error { return nil }
