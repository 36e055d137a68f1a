package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
)

// WriteOp is what a [Write] does.
type WriteOp uint8

// The kinds of writes.
const (
	// Insert makes a new row. The body names every column that has neither a
	// default nor may be NULL.
	Insert WriteOp = iota
	// Replace writes a whole row: columns that the body does not name become
	// NULL, or their default.
	Replace
	// Merge writes the columns that the body names (RFC 7396).
	Merge
	// Delete deletes the row.
	Delete
)

// Write is one write by a client.
type Write struct {
	Op WriteOp
	// Key is the row's; it is not used by Insert.
	Key driver.Key
	// Body is a JSON object of the row's fields, as the model's own JSON names
	// them, also where [Serialize] shows rows otherwise. Columns that [Columns]
	// leaves out are no fields. It is not used by Delete.
	Body []byte
	// Match, when set, must hold for the row as the database has it.
	Match func(Row) bool
	// Validate, when set, is given a pointer to the row as it would be
	// written, a *T. An *InvalidError, or any other error, refuses the write.
	Validate func(row any) error
}

// WriteRules says what a binding's declaration lets clients write.
type WriteRules struct {
	// Writable: anything at all; RowsMayLeave: also so that a row is no longer
	// part of the binding; RequireMatch: updates and deletes only with a
	// precondition; ClientKeys: inserts may name the key though the database has
	// a default for it.
	Writable, RowsMayLeave, RequireMatch, ClientKeys bool
}

// WriteRules returns what clients may write.
func (v *publisher) WriteRules() WriteRules {
	return WriteRules{Writable: v.spec.writable, RowsMayLeave: v.spec.mayLeave, RequireMatch: v.spec.matchNeeded, ClientKeys: v.spec.clientKeys}
}

// Write carries out a client's write, in one transaction: the row must be part
// of the binding, meet the precondition, and, unless rows may leave, be part of
// the binding afterwards; otherwise nothing is written. It returns, after the
// binding shows it (unless that is declared to lag, see [MinInterval]), the row
// as the database has it; the zero Row after Delete.
//
// Whether the row is one that may be written is settled before any lock is
// waited for, and as far as the values are known also before the database may
// object to them: who asks for what lies outside learns nothing of it.
//
// The errors that a client should be told are [ErrNotWritable], [ErrNoRow],
// [ErrPrecondition], [driver.ErrRefused], [*driver.InvalidError] and
// [*MalformedError]; every other one is the database's or the context's. A
// context that ends after the commit is no error.
func (v *publisher) Write(ctx context.Context, w Write) (Row, error) {
	return v.write(ctx, w, within{})
}

func (v *publisher) write(ctx context.Context, w Write, bounds within) (Row, error) {
	if !v.spec.writable {
		return Row{}, fmt.Errorf("core: binding %q: %w", v.name, ErrNotWritable)
	}
	f := v.feed.Load()
	if f == nil || v.current.Load() == nil {
		return Row{}, fmt.Errorf("core: binding %q: %w", v.name, ErrNotLoaded)
	}
	op := &writing{v: v, sh: v.shape.Load(), w: w, bounds: bounds, db: v.read.writer()}
	if err := op.parse(); err != nil {
		return Row{}, err
	}
	if err := op.precheck(ctx); err != nil {
		return Row{}, err
	}
	if err := op.db.transact(ctx, op.run); err != nil {
		return Row{}, op.discreet(err)
	}
	f.written(ctx, op.key)
	return op.result, nil
}

// written waits until the row that was written shows. The commit is reported by
// whatever source watches the table; it is reported once more here, so that
// the answer does not depend on one. Whatever ends the wait, the write has been
// made.
func (f *feed) written(ctx context.Context, key driver.Key) {
	keys := []driver.Key{key}
	derived, lagging := f.pace.mode()
	if derived {
		keys = nil // see route
	}
	m := f.report(keys, nil)
	if !lagging {
		_ = receipt{m}.Wait(ctx)
	}
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
	o.v.feed.Load().eng.log.Info(what, append([]any{slog.String("binding", o.v.name), slog.String("key", o.key.String())}, attrs...)...)
}

// hiddenColumn returns the column that a finding is about, and whether Columns
// hides it.
func (o *writing) hiddenColumn(f driver.FieldError) (column string, hidden bool) {
	for _, c := range o.sh.hidden {
		if f.Column == c.Name || f.Column == "" && f.Field != "" && f.Field == c.JSON {
			return c.Name, true
		}
	}
	return f.Column, false
}
