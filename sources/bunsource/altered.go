package bunsource

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
)

// SchemaChanged implements [driver.SchemaChecker]. It asks the database for the columns
// of the model's tables, and compares them with the answer that [Loader.Prepare] got. A
// table or a column that is missing now is a change.
func (l *Loader[T]) SchemaChanged(ctx context.Context) (changed bool, err error) {
	m := l.refined.Load()
	if m == nil {
		return false, nil // nothing was learned yet
	}
	err = withConn(withoutHooks(ctx), m, false, func(ctx context.Context, conn bun.IConn) error {
		changed, err = m.Altered(ctx, conn)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("bunsource: looking at table %q again: %w", m.Schema.Table, err)
	}
	return changed, nil
}

var _ driver.SchemaChecker = (*Loader[struct{}])(nil)

// explainPatience bounds the question whether the table was altered.
const explainPatience = 2 * time.Second

// explain adds driver.ErrSchemaChanged to the error of a read that failed because the
// table was altered. If the error may have another cause (a condition that was always
// wrong fails alike), it asks the database.
func (l *Loader[T]) explain(ctx context.Context, m *model.Model, err error) error {
	certain, perhaps := outdated(err)
	if !certain && perhaps && ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(ctx, explainPatience)
		defer cancel()
		if m.DB.Dialect().Name() == dialect.PG {
			// A transaction of Postgres answers nothing after an error.
			ctx = context.WithValue(ctx, snapshotKey{m.DB.DB}, (*snapshot)(nil))
		}
		certain, _ = l.SchemaChanged(ctx) // without an answer it stays uncertain
	}
	if !certain {
		return err
	}
	return &alteredError{err}
}

// alteredError is an error of a read that is due to a change of the schema.
type alteredError struct{ cause error }

func (e *alteredError) Error() string { return e.cause.Error() }

func (e *alteredError) Unwrap() []error { return []error{e.cause, driver.ErrSchemaChanged} }

// outdated reports whether the error certainly, or perhaps, means that a table was
// altered.
func outdated(err error) (certain, perhaps bool) {
	var coded interface{ SQLState() string }
	if errors.As(err, &coded) {
		switch coded.SQLState() {
		case "0A000": // feature_not_supported
			return strings.Contains(err.Error(), "cached plan must not change result type"), false
		case "42703", "42P01", "42804", "42883", "22P02", "22007", "22003", "42P18":
			// undefined_column, undefined_table, datatype_mismatch, undefined_function (an
			// operator, too), invalid_text_representation, invalid_datetime_format,
			// numeric_value_out_of_range, indeterminate_datatype
			return false, true
		}
		return false, false
	}
	text := err.Error()
	for _, sign := range []string{"no such column", "no such table", "Error 1054", "Error 1146"} {
		if strings.Contains(text, sign) {
			return false, true
		}
	}
	return false, false
}
