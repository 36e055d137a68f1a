package bunsource_test

import (
	"context"
	"testing"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource"
)

// The same table in two schemas, and in the one that needs no name.
type (
	order struct {
		ID int64 `bun:",pk" json:"id"`
		N  int64 `bun:",notnull" json:"n"`
	}
	northOrder struct {
		bun.BaseModel `bun:"table:north.orders,alias:o"`
		order
	}
	southOrder struct {
		bun.BaseModel `bun:"table:south.orders,alias:o"`
		order
	}
	homeOrder struct {
		bun.BaseModel `bun:"table:orders,alias:o"`
		order
	}
)

// TestTablesOfOneNameInSeveralSchemas: each binding shows its own table, and a
// write to one is no change of the others, though the keys are the same.
func TestTablesOfOneNameInSeveralSchemas(t *testing.T) {
	eachPostgresSource(t, func(t *testing.T, db *bun.DB, source driver.Source) {
		for _, statement := range []string{"CREATE SCHEMA north", "CREATE SCHEMA south"} {
			_, err := db.ExecContext(t.Context(), statement)
			must(t, err)
		}
		for _, model := range []any{(*northOrder)(nil), (*southOrder)(nil), (*homeOrder)(nil)} {
			_, err := db.NewCreateTable().Model(model).Exec(t.Context())
			must(t, err)
		}
		north := bunsource.Bind[northOrder](db, "north")
		south := bunsource.Bind[southOrder](db, "south", core.OrderBy("-n"))
		home := bunsource.Bind[homeOrder](db, "home")
		o := observe(t, db, source, north, south, home)

		o.does("inserting into one", func(ctx context.Context) error {
			_, err := db.NewInsert().Model(&northOrder{order: order{1, 10}}).Exec(ctx)
			return err
		}, changes{"north": "create 1"})
		o.does("inserting into the other", func(ctx context.Context) error {
			_, err := db.NewInsert().Model(&[]southOrder{{order: order{1, 20}}, {order: order{2, 21}}}).Exec(ctx)
			return err
		}, changes{"south": "create 1 2"})
		o.does("inserting into the one without a name", func(ctx context.Context) error {
			_, err := db.NewInsert().Model(&homeOrder{order: order{1, 30}}).Exec(ctx)
			return err
		}, changes{"home": "create 1"})
		o.does("a transaction over two", func(ctx context.Context) error {
			return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
				if _, err := tx.NewUpdate().Model(&northOrder{order: order{1, 11}}).WherePK().Exec(ctx); err != nil {
					return err
				}
				_, err := tx.NewDelete().Model(&southOrder{order: order{ID: 2}}).WherePK().Exec(ctx)
				return err
			})
		}, changes{"north": "update 1", "south": "delete 2"})
		o.does("SQL that leaves the schema to the search path", func(ctx context.Context) error {
			return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
				if _, err := tx.ExecContext(ctx, "SET LOCAL search_path TO south"); err != nil {
					return err
				}
				_, err := tx.ExecContext(ctx, "UPDATE orders SET n = n + 1 WHERE id = 1")
				return err
			})
		}, changes{"south": "update 1"})
		o.does("SQL with the schema in quotes", func(ctx context.Context) error {
			_, err := db.ExecContext(ctx, `INSERT INTO "public"."orders" (id, n) VALUES (2, 31); DELETE FROM "north" . "orders" WHERE n > 10`)
			return err
		}, changes{"home": "create 2", "north": "delete 1"})
		o.does("emptying one", func(ctx context.Context) error {
			_, err := db.ExecContext(ctx, "TRUNCATE south.orders")
			return err
		}, changes{"south": "delete 1"})
		o.end()
		if home.Len() != 2 || north.Len() != 0 || south.Len() != 0 {
			t.Errorf("rows: %d at home, %d north, %d south", home.Len(), north.Len(), south.Len())
		}
	})
}
