package onerow

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/core/value"
)

// explaining finds out why one row belongs to a binding, or does not.
type explaining struct {
	Row
	row *rowset.Fetched // nil: there is no such row
	why []status.Reason
}

// Explain returns which parts of the binding's declaration the row with the key meets, as
// the database has it now.
func Explain(ctx context.Context, v *rowset.Member, key driver.Key) ([]status.Reason, error) {
	e := &explaining{Row: Row{Member: v, Shape: v.Shape.Load(), Key: key}}
	err := e.run(ctx)
	return e.why, err
}

func (e *explaining) run(ctx context.Context) error {
	v, key := e.Member, e.Key
	if is, err := e.IsKey(ctx); err != nil || !is {
		e.why = append(e.why, status.Reason{Row: status.Absent})
		return err
	}
	rows, err := v.Loader.Load(ctx, []driver.Key{key})
	if bad := driver.RowErrors(err); bad != nil {
		e.why = append(e.why, status.Reason{Row: status.Unreadable, Detail: bad[0].Err.Error()})
		return nil
	}
	if e.row, err = e.pick(rows, err); err != nil {
		return err
	}
	if e.row == nil {
		e.why = append(e.why, status.Reason{Row: status.Absent})
		return nil
	}
	for _, part := range Conjuncts(v.Filter) {
		if err := e.part(ctx, part); err != nil {
			return err
		}
	}
	if v.Spec.Where != nil {
		c, err := e.pick(v.Loader.Query(ctx, driver.Query{Keys: []driver.Key{key}, Where: v.Spec.Where}))
		if err != nil {
			return err
		}
		e.why = append(e.why, status.Reason{Filter: v.Spec.WhereText(), Holds: c != nil})
	}
	if v.Spec.Limit > 0 && !slices.ContainsFunc(e.why, func(r status.Reason) bool { return !r.Holds }) {
		first, err := e.isWithinLimit(ctx)
		if err != nil {
			return err
		}
		e.why = append(e.why, status.Reason{Limit: v.Spec.Limit, Holds: first})
	}
	if _, err := e.row.Encoded(v.Loader, e.Shape.Encoder); err != nil {
		e.why = append(e.why, status.Reason{Row: status.Unreadable, Detail: err.Error()})
	}
	if len(e.why) == 0 {
		e.why = append(e.why, status.Reason{Row: status.Present, Holds: true})
	}
	return nil
}

// part explains one part of the filter.
func (e *explaining) part(ctx context.Context, part filter.Expr) error {
	holds, err := e.Meets(ctx, part)
	if err != nil {
		return err
	}
	reason := status.Reason{Filter: part.String(), Holds: holds}
	if column, ok := columnOf(part); ok {
		if i, _, known := e.Shape.ColumnOf(column); known {
			reason.Value = jsonOf(e.Member.Loader.Value(e.row.Row, i))
		}
	}
	e.why = append(e.why, reason)
	return nil
}

// conjuncts takes a filter apart into the parts that must all hold.
// Conjuncts returns the parts that must all be true for the filter to be.
func Conjuncts(e filter.Expr) []filter.Expr {
	switch e := e.(type) {
	case nil:
		return nil
	case *filter.Conjunction:
		var parts []filter.Expr
		for _, part := range e.Exprs {
			parts = append(parts, Conjuncts(part)...)
		}
		return parts
	default:
		return []filter.Expr{e}
	}
}

// columnOf returns the column that an expression is about, if it is about only one.
func columnOf(e filter.Expr) (column string, ok bool) {
	switch e := e.(type) {
	case *filter.Comparison:
		return e.Column, true
	case *filter.Membership:
		return e.Column, true
	case *filter.NullTest:
		return e.Column, true
	case *filter.Search:
		return e.Column, true
	case *filter.Negation:
		return columnOf(e.Expr)
	}
	return "", false
}

// jsonOf encodes a column's value for people to read.
func jsonOf(v value.Value) json.RawMessage {
	switch v.Kind() {
	case value.KindNull:
		return json.RawMessage("null")
	case value.KindBool, value.KindInt, value.KindDecimal, value.KindFloat:
		if raw := json.RawMessage(v.String()); json.Valid(raw) {
			return raw
		}
	}
	raw, _ := json.Marshal(v.String()) // a string always encodes
	return raw
}
