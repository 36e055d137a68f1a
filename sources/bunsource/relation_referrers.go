package bunsource

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
	"github.com/binderyhq/bindery/sources/bunsource/internal/sqlgen"
)

// Referrers implements [driver.RelationLoader]. It needs no statement if the keys
// contain the referrers' keys, and otherwise one for each batch of keys.
//
// It searches by foreign keys alone, without the conditions that Bun adds (soft
// deletes, join_on), so it may find rows that do not show the related ones.
// Index the foreign keys: without an index the database searches the whole table.
func (l *Loader[T]) Referrers(ctx context.Context, related int, keys []driver.Key, limit int) ([]driver.Key, error) {
	m, err := l.model()
	if err != nil {
		return nil, err
	}
	if related < 0 || related >= len(m.Tables) {
		return nil, fmt.Errorf("bunsource: finding rows of table %q: it has no related table %d", m.Schema.Table, related)
	}
	referrers, err := l.referrers(withoutHooks(ctx), m, m.Tables[related], keys, limit)
	if err != nil {
		return nil, fmt.Errorf("bunsource: finding rows of table %q by those that %q relates to them: %w",
			m.Schema.Table, m.Relations[m.Tables[related].Relation].Path, err)
	}
	return referrers, nil
}

func (l *Loader[T]) referrers(ctx context.Context, m *model.Model, t model.RelatedTable, keys []driver.Key, limit int) ([]driver.Key, error) {
	start, err := sqlgen.SearchFrom(m, t, keys)
	if err != nil {
		return nil, err
	}
	if start.At == m && slices.Equal(start.By, m.Keys) {
		return start.Keys[:min(len(start.Keys), limit+1)], nil
	}
	batches, err := sqlgen.KeyBatches(sqlgen.KeyedBy(start.At, start.By), start.Keys)
	if err != nil || len(batches) == 0 {
		return nil, err
	}
	var referrers []driver.Key
	err = withConn(ctx, m, len(batches) > 1, func(ctx context.Context, conn bun.IConn) error {
		for i := range batches {
			b := batches[i]
			b.Cond = sqlgen.ReferringTo(m, t.Relation, start, b.Cond)
			st := sqlgen.Statement{Keys: &b, Bare: true, Limit: limit + 1 - len(referrers)}
			var rows []*T
			if err := st.Build(m, conn, &rows).Scan(ctx); err != nil {
				return err
			}
			for _, r := range rows {
				referrers = append(referrers, m.KeyOf(reflect.ValueOf(r).Elem()))
			}
			if len(referrers) > limit {
				return nil
			}
		}
		return nil
	})
	return referrers, err
}
