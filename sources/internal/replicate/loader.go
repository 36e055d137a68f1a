package replicate

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
)

// Loader is the common part of the [driver.Loader]s whose rows come from another
// node: it describes rows of T. A type that embeds it must be a core.Replicator.
type Loader[T any] struct {
	*driver.Description[T] // nil: T is no struct

	// Table has the binding's name, and the origin's name as its Database.
	Table driver.Table
	// Err has the mistakes in the origin's configuration. Start reports it.
	Err error
}

var _ driver.Loader[struct{}] = (*Loader[struct{}])(nil)

// NewLoader returns a loader of the binding's rows.
func NewLoader[T any](origin, binding string, err error) *Loader[T] {
	l := &Loader[T]{Table: driver.Table{Database: origin, Name: binding}, Err: err}
	if reflect.TypeFor[T]().Kind() == reflect.Struct {
		// Until the origin has sent its key, any column stands for it.
		d := driver.Describe[T](l.Table)
		if s, err := d.Schema(); err == nil && len(s.Columns) > 0 {
			d = driver.Describe[T](l.Table, s.Columns[0].Name)
		}
		l.Description = d
	}
	return l
}

// Schema implements [driver.Loader]. It describes T.
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
