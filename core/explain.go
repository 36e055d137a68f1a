package core

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/core/value"
)

// Explain says why the row with the key is in the binding, or is not: which parts
// of the filter hold for the row as the database has it now, whether it is among
// the first rows of a [Limit], and which sources watch. It reads the row, and
// asks the database whatever Go cannot tell. The error is [ErrNotStarted], or
// that of the read.
func (b *Binding[T]) Explain(ctx context.Context, key driver.Key) (status.Explain, error) {
	return b.own.explain(ctx, key)
}

// Explain explains for a view what [Binding.Explain] does. It returns
// [ErrUnknownBinding] for a view of another registry.
func (r *Registry) Explain(ctx context.Context, view *live.View, key driver.Key) (status.Explain, error) {
	bindings, err := r.publishers([]*live.View{view})
	if err != nil {
		return status.Explain{}, err
	}
	return bindings[0].explain(ctx, key)
}

func (v *publisher) explain(ctx context.Context, key driver.Key) (status.Explain, error) {
	f, sh := v.feed.Load(), v.Shape.Load()
	if f == nil || sh == nil {
		return status.Explain{}, fmt.Errorf("core: binding %q: %w", v.Name(), ErrNotStarted)
	}
	out := status.Explain{Sources: f.eng.sourcesOf(v.Tables())}
	if s := v.Snapshot(); s != nil {
		_, out.In = s.Get(key)
	}
	ex := &explaining{ctx: ctx, op: writing{v: v, sh: sh, key: key}}
	if err := ex.run(); err != nil {
		return status.Explain{}, fmt.Errorf("core: explaining a row of binding %q: %w", v.Name(), err)
	}
	out.Why = ex.why
	holds := !slices.ContainsFunc(out.Why, func(r status.Reason) bool { return !r.Holds })
	if state, _, err := f.stateOf(v.Member); holds != out.In && state != status.Live {
		reason := status.Reason{Binding: state.String()}
		if err != nil {
			reason.Detail = err.Error()
		}
		out.Why = append(out.Why, reason)
	}
	return out, nil
}

// sourcesOf returns what is known about the sources that watch one of the tables.
func (e *engine) sourcesOf(tables []driver.Table) (out []status.Source) {
	e.mu.Lock()
	sources := e.sources
	e.mu.Unlock()
	for _, s := range sources {
		if s.coversAny(tables) {
			out = append(out, s.status())
		}
	}
	return out
}

// explaining finds out what decides about one row.
type explaining struct {
	ctx context.Context
	op  writing // for its reads of one row
	row *rowset.Fetched
	why []status.Reason
}

func (e *explaining) run() error {
	v, key := e.op.v, e.op.key
	rows, err := v.Loader.Load(e.ctx, []driver.Key{key})
	if bad := driver.RowErrors(err); bad != nil {
		e.why = append(e.why, status.Reason{Row: status.Unreadable, Detail: bad[0].Err.Error()})
		return nil
	}
	if e.row, err = e.op.pick(rows, err); err != nil {
		return err
	}
	if e.row == nil {
		e.why = append(e.why, status.Reason{Row: status.Absent})
		return nil
	}
	for _, part := range conjuncts(v.Filter) {
		if err := e.part(part); err != nil {
			return err
		}
	}
	if v.Spec.Where != nil {
		c, err := e.op.pick(v.Loader.Query(e.ctx, driver.Query{Keys: []driver.Key{key}, Where: v.Spec.Where}))
		if err != nil {
			return err
		}
		e.why = append(e.why, status.Reason{Filter: v.Spec.WhereText(), Holds: c != nil})
	}
	if v.Spec.Limit > 0 && !slices.ContainsFunc(e.why, func(r status.Reason) bool { return !r.Holds }) {
		first, err := e.op.isWithinLimit(e.ctx)
		if err != nil {
			return err
		}
		e.why = append(e.why, status.Reason{Limit: v.Spec.Limit, Holds: first})
	}
	if _, err := e.row.Encoded(v.Loader, e.op.sh.Encoder); err != nil {
		e.why = append(e.why, status.Reason{Row: status.Unreadable, Detail: err.Error()})
	}
	if len(e.why) == 0 {
		e.why = append(e.why, status.Reason{Row: status.Present, Holds: true})
	}
	return nil
}

// part explains one part of the filter.
func (e *explaining) part(part filter.Expr) error {
	holds, err := e.op.meets(e.ctx, part)
	if err != nil {
		return err
	}
	reason := status.Reason{Filter: part.String(), Holds: holds}
	if column, ok := columnOf(part); ok {
		if i, _, known := e.op.sh.ColumnOf(column); known {
			reason.Value = jsonOf(e.op.v.Loader.Value(e.row.Row, i))
		}
	}
	e.why = append(e.why, reason)
	return nil
}

// conjuncts takes a filter apart into the parts that must all hold.
func conjuncts(e filter.Expr) []filter.Expr {
	switch e := e.(type) {
	case nil:
		return nil
	case *filter.Conjunction:
		var parts []filter.Expr
		for _, part := range e.Exprs {
			parts = append(parts, conjuncts(part)...)
		}
		return parts
	default:
		return []filter.Expr{e}
	}
}

// columnOf returns the column that an expression is about, if it is one.
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
