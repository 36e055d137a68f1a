package bunsource

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
	"github.com/binderyhq/bindery/sources/bunsource/internal/sqlgen"
)

// Documents implements [driver.DocumentWriter].
func (l *Loader[T]) Documents(ctx context.Context, key driver.Key, columns []string) (map[string]json.RawMessage, error) {
	tx, m, err := l.transaction(ctx)
	if err != nil {
		return nil, err
	}
	cond, err := sqlgen.RowCondition(m, key)
	if err != nil || cond == "" {
		return nil, err
	}
	q := tx.NewSelect().Model((*T)(nil)).Where("?", cond)
	texts := make([]sql.NullString, len(columns))
	dest := make([]any, len(columns))
	for i, name := range columns {
		q = q.ColumnExpr(documentText(m, name))
		dest[i] = &texts[i]
	}
	err = q.Scan(withoutHooks(ctx), dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, writeError(m, "reading documents of", err)
	}
	documents := make(map[string]json.RawMessage, len(columns))
	for i, name := range columns {
		if doc := json.RawMessage(texts[i].String); texts[i].Valid && json.Valid(doc) {
			documents[name] = doc
		}
	}
	return documents, nil
}

// documentText returns SQL for the column as text. SQLite may hold it as a BLOB.
func documentText(m *model.Model, column string) string {
	c := m.Columns[m.Schema.Column(column)]
	if m.DB.Dialect().Name() == dialect.MySQL {
		return "CAST(" + c.SQL + " AS CHAR)"
	}
	return "CAST(" + c.SQL + " AS TEXT)"
}
