package replicate

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
)

// Loader is the part of a [driver.Loader] that all have whose rows come from another
// node: it describes rows of T. Whoever embeds it is a core.Replicator.
type Loader[T any] struct {
	*driver.Description[T] // nil: T is no struct

	// Table has the binding's name, and as its database the origin's.
	Table driver.Table
	// Err is what is wrong with the origin. Start reports it.
	Err error
}

var _ driver.Loader[struct{}] = (*Loader[struct{}])(nil)

// NewLoader returns a loader of the binding's rows.
func NewLoader[T any](origin, binding string, err error) *Loader[T] {
	l := &Loader[T]{Table: driver.Table{Database: origin, Name: binding}, Err: err}
	if reflect.TypeFor[T]().Kind() == reflect.Struct {
		// The key is the origin's, once it has told. Until then any column stands
		// for it.
		d := driver.Describe[T](l.Table)
		if s, err := d.Schema(); err == nil && len(s.Columns) > 0 {
			d = driver.Describe[T](l.Table, s.Columns[0].Name)
		}
		l.Description = d
	}
	return l
}

// Schema implements [driver.Loader]. It is T's until the origin has told its own.
func (l *Loader[T]) Schema() (driver.Schema, error) {
	if l.Err != nil {
		return driver.Schema{}, l.Err
	}
	if l.Description == nil {
		opaque := driver.Column{Name: "row", Kind: value.KindOpaque}
		return driver.Schema{Table: l.Table, Columns: []driver.Column{opaque}, Key: []string{"row"}}, nil
	}
	return l.Description.Schema()
}

// Value implements [driver.Loader].
func (l *Loader[T]) Value(row *T, column int) value.Value {
	if l.Description == nil {
		return value.Value{}
	}
	return l.Description.Value(row, column)
}

// Load implements [driver.Loader]. Nobody calls it: rows come by messages.
func (l *Loader[T]) Load(context.Context, []driver.Key) ([]*T, error) {
	return nil, fmt.Errorf("replicate: reading binding %q: its rows are followed and not read: %w", l.Table.Name, errors.ErrUnsupported)
}
