package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/live"
)

// writing is a write under way.
type writing struct {
	v  *publisher
	sh *rowset.Shape
	w  live.Write
	db untyped.Writer

	bounds within

	fields  map[string]json.RawMessage // by column
	asShown map[string]json.RawMessage // members that are no columns: they must be as the row shows them
	key     driver.Key
	result  live.Row
}

// run is the transaction. It may be run more than once.
func (o *writing) run(ctx context.Context) error {
	o.result = live.Row{}
	if o.w.Op == live.Insert {
		return o.insert(ctx)
	}
	if err := o.db.Lock(ctx, o.key); err != nil {
		return err
	}
	before, member, err := o.find(ctx)
	if err != nil {
		return err
	}
	if !member {
		return live.ErrNoRow
	}
	if err := o.checkBounds(ctx); err != nil {
		return err
	}
	if o.w.Match != nil && !o.w.Match(before) {
		return live.ErrPrecondition
	}
	if o.w.Op == live.Delete {
		return o.db.Delete(ctx, o.key)
	}
	return o.update(ctx, before)
}

func (o *writing) insert(ctx context.Context) error {
	row := o.db.NewRow()
	change, err := o.decode(ctx, row)
	if err != nil {
		return err
	}
	if err := o.validate(row); err != nil {
		return err
	}
	if err := o.checkValues(row, change.Columns); err != nil {
		return err
	}
	if o.key, err = o.db.Insert(ctx, row, change.Columns); err != nil {
		return err
	}
	return o.after(ctx)
}

func (o *writing) update(ctx context.Context, before live.Row) error {
	if err := o.checkShown(before); err != nil {
		return err
	}
	row := o.db.CloneRow(before.Value())
	change, err := o.decode(ctx, row)
	if err != nil {
		return err
	}
	if err := o.checkKey(row, &change); err != nil {
		return err
	}
	if o.w.Op == live.Replace {
		o.complete(row, &change)
	}
	if err := o.validate(row); err != nil {
		return err
	}
	known := make([]string, 0, len(o.sh.Schema.Columns))
	for _, c := range o.sh.Schema.Columns {
		if !c.Generated && !slices.Contains(change.Defaults, c.Name) {
			known = append(known, c.Name)
		}
	}
	if err := o.checkValues(row, known); err != nil {
		return err
	}
	if len(change.Columns)+len(change.Defaults) > 0 {
		if err := o.db.Update(ctx, o.key, row, change); err != nil {
			return err
		}
	}
	return o.after(ctx)
}

// after reads the row as the database has it and makes sure of where it is.
func (o *writing) after(ctx context.Context) error {
	row, member, err := o.find(ctx)
	switch {
	case err != nil:
		return err
	case !member && !o.v.Spec.Rules.RowsMayLeave:
		return o.wouldLeave()
	case !member:
		// It may leave the binding, and yet not what its writer may see.
		if in, err := o.meets(ctx, o.v.Scope); err != nil {
			return err
		} else if !in {
			return o.wouldLeave()
		}
	}
	if err := o.checkBounds(ctx); err != nil {
		return err
	}
	o.result = row
	return nil
}

func (o *writing) wouldLeave() error {
	return driver.Invalid("", fmt.Sprintf("the row would not be part of %q", o.v.Name()))
}

// validate asks the application, and turns any error of its into one that
// refuses the write.
func (o *writing) validate(row any) error {
	if o.w.Validate == nil {
		return nil
	}
	err := o.w.Validate(row)
	var invalid *driver.InvalidError
	if err == nil || errors.As(err, &invalid) {
		return err
	}
	return driver.Invalid("", err.Error())
}
