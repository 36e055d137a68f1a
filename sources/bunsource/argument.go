package bunsource

import (
	"context"
	"reflect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/bunsource/internal/dberror"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
)

var _ driver.LiteralChecker = (*Loader[struct{}])(nil)

// CheckLiteral implements [driver.LiteralChecker]: it has the database cast the
// value to the column's type. Before [Loader.Prepare] it asks for the type first.
func (l *Loader[T]) CheckLiteral(ctx context.Context, column string, v value.Value) (string, error) {
	m, err := l.model()
	if err != nil {
		return "", err
	}
	i := m.Schema.Column(column)
	if i < 0 || !m.Schema.Columns[i].Asked {
		return "", nil
	}
	if !m.Columns[i].Facts.Known {
		if err := l.refine(ctx); err != nil {
			return "", err
		}
		if m, err = l.model(); err != nil {
			return "", err
		}
		if detail := m.RefusedAsKnown(i, v); detail != "" || !m.Schema.Columns[i].Asked || !m.Columns[i].Facts.Known {
			return detail, nil
		}
	}
	var null bool
	literal := string(m.DB.QueryGen().AppendValue(nil, reflect.ValueOf(v.String())))
	typ := m.Columns[i].Facts.SQLType
	cast := "CAST(" + literal + " AS " + typ + ")"
	if typ == "cidr" { // compared as an inet, which accepts fewer spellings
		cast += ", CAST(" + literal + " AS inet)"
	}
	err = m.DB.DB.QueryRowContext(withoutHooks(ctx), "SELECT ("+cast+") IS NULL").Scan(&null)
	if err == nil {
		return "", nil
	}
	if refused, ok := dberror.Of(err); ok && refused.OfValue {
		if refused.Detail == dberror.DetailRange {
			return model.ArgumentRange, nil
		}
		return model.ArgumentForm, nil
	}
	return "", err
}
