package writing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/onerow"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/live"
)

// writing is a write under way.
type writing struct {
	onerow.Row // the row to write
	host       Host
	w          live.Write
	db         untyped.Writer

	bounds Bounds

	fields  map[string]json.RawMessage // by column
	asShown map[string]json.RawMessage // members that are no columns: they must equal the shown row's
	result  live.Row

	replaced  []string                   // columns that were not read, see mend
	documents map[string]json.RawMessage // stored ones that are patched, by column; see mend
}

// Host is what a write needs beside the binding. All fields are required.
type Host struct {
	Logger *slog.Logger
	Now    func() time.Time // clock of row versions
}

// Bounds confines a write to some of the binding's rows.
type Bounds struct {
	Scope  filter.Expr // nil: no bounds
	Denied error       // the error of a write outside of the scope
}

// Write carries out a client's write to a loaded binding, in one transaction. It returns
// the written row, the zero Row after Delete, and its key. Errors include [live.ErrNoRow],
// [live.ErrPrecondition], a [*driver.InvalidError], a [*live.MalformedError], and
// bounds.Denied.
func Write(ctx context.Context, v *rowset.Member, w live.Write, bounds Bounds, host Host) (live.Row, driver.Key, error) {
	op := &writing{Row: onerow.Row{Member: v, Shape: v.Shape.Load()}, host: host, w: w, bounds: bounds, db: v.Loader.Writer()}
	if err := op.parse(); err != nil {
		return live.Row{}, "", err
	}
	if err := op.precheck(ctx); err != nil {
		return live.Row{}, "", err
	}
	if err := op.db.Transact(ctx, op.run); err != nil {
		return live.Row{}, "", op.discreet(err)
	}
	return op.result, op.Key, nil
}

// run is the body of the transaction. The loader may call it more than once.
func (o *writing) run(ctx context.Context) error {
	o.result, o.replaced, o.documents = live.Row{}, nil, nil
	if o.w.Op == live.Insert {
		return o.insert(ctx)
	}
	if err := o.db.Lock(ctx, o.Key); err != nil {
		return err
	}
	before, member, err := o.Find(ctx, o.host.Now())
	var bad *onerow.UnreadableError
	switch {
	case errors.As(err, &bad):
		return o.mend(ctx, bad)
	case err != nil:
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
		return o.db.Delete(ctx, o.Key)
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
	if o.Key, err = o.db.Insert(ctx, row, change.Columns); err != nil {
		return err
	}
	return o.after(ctx)
}

func (o *writing) update(ctx context.Context, before live.Row) error {
	return o.updateFrom(ctx, before, o.db.CloneRow(before.Value()))
}

// updateFrom changes row, the row as far as it was read, and writes it. shown is the row as
// clients see it, the zero Row if they do not.
func (o *writing) updateFrom(ctx context.Context, shown live.Row, row any) error {
	if err := o.checkShown(shown); err != nil {
		return err
	}
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
	known := make([]string, 0, len(o.Shape.Schema.Columns))
	for _, c := range o.Shape.Schema.Columns {
		if !c.Generated && !slices.Contains(change.Defaults, c.Name) {
			known = append(known, c.Name)
		}
	}
	if err := o.checkValues(row, known); err != nil {
		return err
	}
	if len(change.Columns)+len(change.Defaults) > 0 {
		if err := o.db.Update(ctx, o.Key, row, change); err != nil {
			return err
		}
	}
	return o.after(ctx)
}

// after reads the written row and checks that it lies within all bounds.
func (o *writing) after(ctx context.Context) error {
	row, member, err := o.Find(ctx, o.host.Now())
	var bad *onerow.UnreadableError
	switch {
	case errors.As(err, &bad):
		return o.unreadable(ctx, bad)
	case err != nil:
		return err
	case !member && !o.Member.Spec.Rules.RowsMayLeave:
		return o.wouldLeave()
	case !member:
		// It may leave the binding, but not the rows that its writer may see.
		if in, err := o.Meets(ctx, o.Member.Scope); err != nil {
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
	return driver.Invalid("", fmt.Sprintf("the row would not be part of %q", o.Member.Name()))
}

// validate calls the application's validation, and returns its errors as
// [*driver.InvalidError].
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
