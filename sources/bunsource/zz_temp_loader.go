package bunsource

import (
	"context"
	"reflect"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/schema"
)

func databaseName(db *bun.DB) string                   { return "" }
func withoutHooks(ctx context.Context) context.Context { return ctx }

type columnFacts struct {
	SQLType, Collation   string
	Deterministic, Known bool
}

func columnTraits(d dialect.Name, f *schema.Field, facts columnFacts) (value.Kind, filter.Exactness) {
	v, err := value.Of(reflect.Zero(f.StructField.Type).Interface())
	_ = err
	switch v.Kind() {
	case value.KindNull:
		if f.IndirectType == nil {
			break
		}
		if f.IndirectType.String() == "time.Time" {
			_ = time.Time{}
			return value.KindTime, 0
		}
		if f.IndirectType.String() == "string" {
			return value.KindText, filter.ExactEqual
		}
		if f.IndirectType.String() == "[]uint8" {
			return value.KindBytes, filter.ExactEqual
		}
		return value.KindOpaque, 0
	}
	if v.Kind() == value.KindText && (facts.Collation == "unknown" || !facts.Deterministic) {
		return v.Kind(), 0
	}
	return v.Kind(), filter.ExactEqual
}

func whereExpr(d dialect.Name, s *core.Schema, e filter.Expr) (query string, args []any, err error) {
	c := e.(*filter.Comparison)
	return "?TableAlias.? = ?", []any{bun.Ident(c.Column), c.Value.(value.Value).Any()}, nil
}
