package writing

import (
	"errors"
	"log/slog"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
)

// discreet removes the names of columns that the binding does not show from the
// database's objections. It logs what the client is not told: such a column, and
// the database's message if no column is known.
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
			o.note("core: a write was refused, and the client cannot be told over which column", slog.String("id", "core-write-refused"),
				slog.String("column", column), slog.String("detail", f.Detail), slog.Any("cause", invalid.Cause))
		}
	}
	return told
}

func (o *writing) note(what string, id slog.Attr, attrs ...any) {
	o.host.Logger.Info(what, append([]any{id, slog.String("binding", o.Member.Name()), slog.String("key", o.Key.String())}, attrs...)...)
}

// hiddenColumn returns the column that an objection is about, and whether Columns
// hides it.
func (o *writing) hiddenColumn(f driver.FieldError) (column string, hidden bool) {
	for _, c := range o.Shape.Hidden {
		if f.Column == c.Name || f.Column == "" && f.Field != "" && f.Field == c.JSON {
			return c.Name, true
		}
	}
	return f.Column, false
}
