package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// write carries out a client's write, see [Binding.Write].
func (v *publisher) write(ctx context.Context, w live.Write, bounds within) (live.Row, error) {
	if !v.Spec.Rules.Writable {
		return live.Row{}, fmt.Errorf("core: binding %q: %w", v.Name(), live.ErrNotWritable)
	}
	f := v.feed.Load()
	if f == nil || v.Snapshot() == nil {
		return live.Row{}, fmt.Errorf("core: binding %q: %w", v.Name(), live.ErrNotLoaded)
	}
	op := &writing{v: v, sh: v.Shape.Load(), w: w, bounds: bounds, db: v.Loader.Writer()}
	if err := op.parse(); err != nil {
		return live.Row{}, err
	}
	if err := op.precheck(ctx); err != nil {
		return live.Row{}, err
	}
	if err := op.db.Transact(ctx, op.run); err != nil {
		return live.Row{}, op.discreet(err)
	}
	f.written(ctx, op.key)
	return op.result, nil
}

// discreet takes the names of columns that the binding does not show out of
// what the database objects to. The log is told what the client is not: such a
// column, and the database's words where no column is known.
func (o *writing) discreet(err error) error {
	var invalid *driver.InvalidError
	if !errors.As(err, &invalid) {
		return err
	}
	told := &driver.InvalidError{Fields: slices.Clone(invalid.Fields), Cause: invalid.Cause}
	for i, f := range told.Fields {
		column, hidden := o.hiddenColumn(f)
		if hidden {
			told.Fields[i].Field = ""
			told.Fields[i].Detail = "a column that is not shown here " + f.Detail
		}
		if told.Fields[i].Field == "" && (column != "" || invalid.Cause != nil) {
			o.note("core: a write was refused, and the client cannot be told over which column",
				slog.String("column", column), slog.String("detail", f.Detail), slog.Any("cause", invalid.Cause))
		}
	}
	return told
}

func (o *writing) note(what string, attrs ...any) {
	o.v.logger().Info(what, append([]any{slog.String("binding", o.v.Name()), slog.String("key", o.key.String())}, attrs...)...)
}

// hiddenColumn returns the column that a finding is about, and whether Columns
// hides it.
func (o *writing) hiddenColumn(f driver.FieldError) (column string, hidden bool) {
	for _, c := range o.sh.Hidden {
		if f.Column == c.Name || f.Column == "" && f.Field != "" && f.Field == c.JSON {
			return c.Name, true
		}
	}
	return f.Column, false
}
