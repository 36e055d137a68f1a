package model

import (
	"context"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
)

// Altered reports whether the database describes the model's tables otherwise than the
// model does.
func (m *Model) Altered(ctx context.Context, conn bun.IConn) (bool, error) {
	switch m.DB.Dialect().Name() {
	case dialect.SQLite, dialect.PG, dialect.MySQL:
	default:
		return false, nil // nothing was learned
	}
	found, err := m.tableColumns(ctx, conn)
	if err != nil {
		return false, err
	}
	now, err := m.Refine(found)
	if err != nil || !now.describedLike(m) {
		return true, nil
	}
	for i := range m.Relations {
		for _, related := range []*Model{m.Relations[i].Target, m.Relations[i].Junction} {
			if related == nil {
				continue
			}
			if changed, err := related.Altered(ctx, conn); err != nil || changed {
				return changed, err
			}
		}
	}
	return false, nil
}

// describedLike reports whether the database describes the columns of both models
// alike. The models are of one Go type. Facts learned from rows are not compared.
func (m *Model) describedLike(o *Model) bool {
	for i := range m.Columns {
		a, b := m.Columns[i].Facts, o.Columns[i].Facts
		a.Mixed, b.Mixed = false, false
		pa, pb := &m.Schema.Columns[i], &o.Schema.Columns[i]
		if a != b || pa.Nullable != pb.Nullable || pa.Default != pb.Default || pa.Generated != pb.Generated || pa.Computed != pb.Computed {
			return false
		}
	}
	return true
}
