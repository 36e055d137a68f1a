package bunsource_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/sources/bunsource"
)

// draft has no updated_at, as most tables in these tests: nothing needs it.
type draft struct {
	bun.BaseModel `bun:"table:drafts,alias:d"`

	ID        int64     `bun:",pk" json:"id"`
	Text      string    `bun:",notnull" json:"text"`
	Done      bool      `bun:",notnull" json:"done"`
	DeletedAt time.Time `bun:",soft_delete,nullzero" json:"deleted_at,omitzero"`
}

// TestSoftDeletesAreDeletes: to a binding of a model with soft deletes, a
// deleted row is gone and a restored one is new, however it was written; the
// deleted rows can be bound as well, alone or with the others.
func TestSoftDeletesAreDeletes(t *testing.T) {
	eachSource(t, func(t *testing.T, db *bun.DB, source driver.Source) {
		_, err := db.NewCreateTable().Model((*draft)(nil)).Exec(t.Context())
		must(t, err)
		rows := []draft{{ID: 1, Text: "a"}, {ID: 2, Text: "b"}, {ID: 3, Text: "c", Done: true}}
		_, err = db.NewInsert().Model(&rows).Exec(t.Context())
		must(t, err)
		o := observe(t, db, source,
			bunsource.Bind[draft](db, "live"),
			bunsource.Bind[draft](db, "open", core.Where(filter.Eq("done", false))),
			bunsource.Bind[draft](db, "newest", core.OrderBy("-id"), core.Limit(2)),
			bunsource.Bind[draft](db, "trash", bunsource.Where((*bun.SelectQuery).WhereDeleted)),
			bunsource.Bind[draft](db, "all", bunsource.Where((*bun.SelectQuery).WhereAllWithDeleted)),
			bunsource.Bind[draft](db, "texts", core.Columns("id", "text"), bunsource.Where((*bun.SelectQuery).WhereAllWithDeleted)),
		)
		o.does("deleting by key", func(ctx context.Context) error {
			_, err := db.NewDelete().Model(&draft{ID: 2}).WherePK().Exec(ctx)
			return err
		}, changes{"live": "delete 2", "open": "delete 2", "newest": "create 1, delete 2", "trash": "create 2", "all": "update 2"})
		o.does("changing what is deleted", func(ctx context.Context) error {
			_, err := db.NewUpdate().Model((*draft)(nil)).Set("text = ?", "B").Where("id = ?", 2).WhereAllWithDeleted().Exec(ctx)
			return err
		}, changes{"trash": "update 2", "all": "update 2", "texts": "update 2"})
		o.does("restoring", func(ctx context.Context) error {
			_, err := db.NewUpdate().Model(&draft{ID: 2}).Set("deleted_at = NULL").WherePK().WhereDeleted().Exec(ctx)
			return err
		}, changes{"live": "create 2", "open": "create 2", "newest": "create 2, delete 1", "trash": "delete 2", "all": "update 2"})
		o.does("deleting by a condition", func(ctx context.Context) error {
			_, err := db.NewDelete().Model((*draft)(nil)).Where("done").Exec(ctx)
			return err
		}, changes{"live": "delete 3", "newest": "create 1, delete 3", "trash": "create 3", "all": "update 3"})
		o.does("deleting in a transaction that is rolled back", func(ctx context.Context) error {
			undo := errors.New("undo")
			err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
				if _, err := tx.NewDelete().Model((*draft)(nil)).Where("TRUE").Exec(ctx); err != nil {
					return err
				}
				return undo
			})
			if !errors.Is(err, undo) {
				return err
			}
			return nil
		}, nil)
		o.does("deleting in SQL", func(ctx context.Context) error {
			_, err := db.ExecContext(ctx, "UPDATE drafts SET deleted_at = CURRENT_TIMESTAMP WHERE id = ?", 1)
			return err
		}, changes{"live": "delete 1", "open": "delete 1", "newest": "delete 1", "trash": "create 1", "all": "update 1"})
		o.does("inserting what is deleted already", func(ctx context.Context) error {
			_, err := db.NewInsert().Model(&draft{ID: 4, Text: "d", DeletedAt: time.Unix(1e9, 0)}).Exec(ctx)
			return err
		}, changes{"trash": "create 4", "all": "create 4", "texts": "create 4"})
		o.does("deleting for good", func(ctx context.Context) error {
			_, err := db.NewDelete().Model(&draft{ID: 3}).WherePK().WhereDeleted().ForceDelete().Exec(ctx)
			return err
		}, changes{"trash": "delete 3", "all": "delete 3", "texts": "delete 3"})
		o.does("restoring all, in a transaction with another delete", func(ctx context.Context) error {
			return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
				if _, err := tx.NewUpdate().Model((*draft)(nil)).Set("deleted_at = NULL").Where("TRUE").WhereDeleted().Exec(ctx); err != nil {
					return err
				}
				_, err := tx.NewDelete().Model(&draft{ID: 2}).WherePK().Exec(ctx)
				return err
			})
		}, changes{
			"live": "create 1 4, delete 2", "open": "create 1 4, delete 2", "newest": "create 1 4, delete 2",
			"trash": "create 2, delete 1 4", "all": "update 1 2 4",
		})
		o.end()
	})
}
