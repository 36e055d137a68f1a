package writing

import (
	"context"
	"errors"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/onerow"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/live"
)

// Mending: a write to a row that cannot be read or shown as the database has it.
//
// The rest of the row is read without the columns that the write sets. So the write goes
// through if these are the ones to blame. Otherwise the client is told which they are.

// mend carries out the write although the row cannot be read or shown.
func (o *writing) mend(ctx context.Context, bad *onerow.UnreadableError) error {
	switch member, err := o.isMendable(ctx, bad); {
	case err != nil:
		return err
	case !member:
		return live.ErrNoRow
	}
	if err := o.checkBounds(ctx); err != nil {
		return err
	}
	// No client has seen the row as it is, so its tag is one that nobody has.
	unseen := o.Shape.Row(&rowset.Fetched{Key: o.Key}, "", nil, live.Row{}, o.host.Now())
	if o.w.Match != nil && !o.w.Match(unseen) {
		return live.ErrPrecondition
	}
	if o.w.Op == live.Delete {
		return o.db.Delete(ctx, o.Key)
	}
	row, err := o.readable(ctx, bad)
	if err != nil {
		return err
	}
	shown, _ := o.Member.Snapshot().Get(o.Key)
	return o.updateFrom(ctx, shown, row)
}

// isMendable reports whether the client may mend the row: the database says that it belongs
// to the binding, or it would but for the columns that cannot be read, and the binding still
// shows it.
func (o *writing) isMendable(ctx context.Context, bad *onerow.UnreadableError) (bool, error) {
	member, err := o.IsMember(ctx)
	if member || err != nil {
		return member, err
	}
	_, shown := o.Member.Snapshot().Get(o.Key)
	if !shown || o.Member.Spec.Where != nil || o.Member.Spec.Limit > 0 || !o.Member.Loader.CanQuery() {
		return false, nil
	}
	if in, err := o.Meets(ctx, o.Member.Scope); !in || err != nil {
		return false, err
	}
	culprits, err := o.culprits(ctx, bad)
	if err != nil {
		return false, err
	}
	unknown := func(column string) bool {
		return slices.ContainsFunc(culprits, func(f driver.FieldError) bool { return f.Column == column })
	}
	var rest []filter.Expr
	for _, part := range onerow.Conjuncts(o.Member.Filter) {
		if !slices.ContainsFunc(filter.Columns(part), unknown) {
			rest = append(rest, part)
		}
	}
	if len(rest) == 0 {
		return true, nil
	}
	return o.Meets(ctx, filter.And(rest...))
}

// readable returns the row without the values that the write replaces.
func (o *writing) readable(ctx context.Context, bad *onerow.UnreadableError) (row any, err error) {
	if o.replaced, err = o.replacedColumns(ctx); err != nil {
		return nil, err
	}
	if bad.Row != nil {
		row = o.db.CloneRow(bad.Row)
		for i := range o.Shape.Schema.Columns {
			if c := &o.Shape.Schema.Columns[i]; slices.Contains(o.replaced, c.Name) {
				setNull(row, pathOf(c))
			}
		}
		if _, err := o.Member.Loader.Encode(row); err != nil && o.w.Op == live.Merge {
			// Objects could not be merged, either.
			return nil, o.unreadable(ctx, &onerow.UnreadableError{Row: row, Err: bad.Err})
		}
		return row, nil
	}
	row, err = o.db.LoadWithout(ctx, o.Key, o.replaced)
	switch {
	case errors.Is(err, errors.ErrUnsupported), driver.RowErrors(err) != nil:
		err = o.unreadable(ctx, bad)
		var left *live.UnreadableError
		if errors.As(err, &left) {
			left.Fields = slices.DeleteFunc(left.Fields, func(f driver.FieldError) bool { return slices.Contains(o.replaced, f.Column) })
		}
		return nil, err
	case err == nil && row == nil:
		return nil, live.ErrNoRow
	}
	return row, err
}

// replacedColumns returns the columns whose values the write replaces, whatever they are.
func (o *writing) replacedColumns(ctx context.Context) (columns []string, err error) {
	m := merger{o: o}
	if o.w.Op == live.Merge {
		if o.documents, err = m.read(ctx); err != nil {
			return nil, err
		}
	}
	for i := range o.Shape.Schema.Columns {
		c := &o.Shape.Schema.Columns[i]
		raw, named := o.fields[c.Name]
		switch {
		case c.Generated, slices.Contains(o.Shape.Schema.Key, c.Name), pathOf(c) == nil:
		case !named:
			if o.w.Op == live.Replace && (c.Default || c.Nullable) {
				columns = append(columns, c.Name) // see complete
			}
		case o.w.Op != live.Merge, !isObject(raw), isObject(o.documents[c.Name]):
			columns = append(columns, c.Name)
		}
	}
	return columns, nil
}

// unreadable returns the error for a row that cannot be read or shown, with the fields that
// a client must write to mend it.
func (o *writing) unreadable(ctx context.Context, bad *onerow.UnreadableError) error {
	fields, err := o.culprits(ctx, bad)
	if err != nil {
		return err
	}
	for i, f := range fields {
		if f.Field == "" {
			fields[i].Detail = "a column that is not shown here " + f.Detail
		}
	}
	return &live.UnreadableError{Key: o.Key, Fields: fields, Cause: bad.Err}
}

// maxTriedColumns bounds the columns of a row that are tried one by one to find out which
// cannot be read.
const maxTriedColumns = 100

// culprits returns the columns because of which the row cannot be read or shown, each found
// by trying it alone. It returns none if the reason is not in one column, as when the
// application's serializer fails.
func (o *writing) culprits(ctx context.Context, bad *onerow.UnreadableError) (fields []driver.FieldError, err error) {
	columns := o.Shape.Schema.Columns
	if len(columns) > maxTriedColumns {
		return nil, nil
	}
	for i := range columns {
		c := &columns[i]
		if slices.Contains(o.Shape.Schema.Key, c.Name) {
			continue
		}
		is, err := o.isCulprit(ctx, bad, c)
		if errors.Is(err, errors.ErrUnsupported) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		if is {
			fields = append(fields, driver.FieldError{Field: fieldName(pathOf(c)), Column: c.Name, Detail: "holds a value that cannot be read"})
		}
	}
	return fields, nil
}

// isCulprit reports whether the row could not be read or encoded if it had only this column.
func (o *writing) isCulprit(ctx context.Context, bad *onerow.UnreadableError, c *driver.Column) (bool, error) {
	if bad.Row == nil {
		var others []string
		for _, other := range o.Shape.Schema.Columns {
			if other.Name != c.Name && !slices.Contains(o.Shape.Schema.Key, other.Name) {
				others = append(others, other.Name)
			}
		}
		_, err := o.db.LoadWithout(ctx, o.Key, others)
		if driver.RowErrors(err) != nil {
			return true, nil
		}
		return false, err
	}
	row := o.db.CloneRow(bad.Row)
	for i := range o.Shape.Schema.Columns {
		if other := &o.Shape.Schema.Columns[i]; other.Name != c.Name {
			setNull(row, o.encodedAt(other))
		}
	}
	_, err := o.Member.Loader.Encode(row)
	return err != nil && o.encodedAt(c) != nil, nil
}

// encodedAt is pathOf, but by the model's JSON, in which the column may have a place although
// the binding does not show it.
func (o *writing) encodedAt(c *driver.Column) []string {
	for i := range o.Shape.Hidden {
		if o.Shape.Hidden[i].Name == c.Name {
			return pathOf(&o.Shape.Hidden[i])
		}
	}
	return pathOf(c)
}
