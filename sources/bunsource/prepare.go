package bunsource

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
)

// Prepare asks the database for the types and collations of the table's
// columns. [Loader.Schema] then reflects them, and says which comparisons Go
// makes exactly as the database does. The error says that the database does not
// answer, or names the table or the columns that do not exist (yet).
//
// Each call asks again. A SQLite column that once held values of another storage
// class stays marked as inexact, because such values come and go. For tables that
// are altered later see [Loader.SchemaChanged].
//
// For a view, the warnings name the tables that it reads but that are not declared.
func (l *Loader[T]) Prepare(ctx context.Context, declared []driver.Table) (warnings []error, err error) {
	if err := l.refine(ctx); err != nil || len(declared) == 0 {
		return nil, err
	}
	m, err := l.model()
	if err != nil {
		return nil, err
	}
	return warnUndeclared(ctx, m, m.DB.QueryGen().FormatQuery("SELECT * FROM ?", m.Table.SQLName), declared), nil
}

// refine asks the database about the model's tables.
func (l *Loader[T]) refine(ctx context.Context) error {
	l.preparing.Lock()
	defer l.preparing.Unlock()
	m, err := l.describe()
	if err != nil {
		return err
	}
	var refined *model.Model
	err = withConn(withoutHooks(ctx), m, false, func(ctx context.Context, conn bun.IConn) error {
		if refined, err = m.Inspect(ctx, conn); err != nil || len(m.Relations) == 0 {
			return err
		}
		related := *refined
		related.Relations, err = m.InspectRelations(ctx, conn)
		refined = &related
		return err
	})
	if err != nil {
		return fmt.Errorf("bunsource: preparing table %q: %w", m.Schema.Table, err)
	}
	l.refined.Store(l.mixed.mark(refined))
	trackerOf(l.db.DB).Forget() // statements judged without the key columns' types
	return nil
}
