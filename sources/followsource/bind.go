package followsource

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
)

// Bind declares a binding whose rows are those of the origin's binding with the same
// name. T is what a row's JSON is decoded into: a struct, or [json.RawMessage] for
// programs that do not look. Of the options [core.Tune] alone has an effect.
func Bind[T any](o *Origin, name string, opts ...core.Option) *core.Binding[T] {
	return core.Bind[T](name, newLoader[T](o, name), opts...)
}

// BindFamily declares a family whose members are those of the origin's family with
// the same name. The options declare its parameters: [core.Where] with a filter in
// which they are compared with fields of T, as at the origin.
func BindFamily[T any](o *Origin, name string, opts ...core.Option) *core.Family[T] {
	return core.BindFamily[T](name, newLoader[T](o, name), opts...)
}

// loader describes rows of T, and replicates.
type loader[T any] struct {
	*driver.Description[T] // nil: T is no struct
	origin                 *Origin
	binding                string
}

var (
	_ driver.Loader[struct{}] = (*loader[struct{}])(nil)
	_ core.Replicator         = (*loader[struct{}])(nil)
)

func newLoader[T any](o *Origin, binding string) *loader[T] {
	l := &loader[T]{origin: o, binding: binding}
	if reflect.TypeFor[T]().Kind() == reflect.Struct {
		// The key is the origin's, once it has told. Until then any column stands
		// for it.
		d := driver.Describe[T](l.table())
		if s, err := d.Schema(); err == nil && len(s.Columns) > 0 {
			d = driver.Describe[T](l.table(), s.Columns[0].Name)
		}
		l.Description = d
	}
	return l
}

func (l *loader[T]) table() driver.Table {
	if l.origin == nil {
		return driver.Table{Name: l.binding}
	}
	return driver.Table{Database: l.origin.name(), Name: l.binding}
}

// Schema implements [driver.Loader]. It is T's until the origin has told its own.
func (l *loader[T]) Schema() (driver.Schema, error) {
	if l.origin == nil {
		return driver.Schema{}, errors.New("followsource: its origin is nil")
	}
	if err := l.origin.check(); err != nil {
		return driver.Schema{}, err
	}
	if l.Description == nil {
		opaque := driver.Column{Name: "row", Kind: value.KindOpaque}
		return driver.Schema{Table: l.table(), Columns: []driver.Column{opaque}, Key: []string{"row"}}, nil
	}
	return l.Description.Schema()
}

// Value implements [driver.Loader].
func (l *loader[T]) Value(row *T, column int) value.Value {
	if l.Description == nil {
		return value.Value{}
	}
	return l.Description.Value(row, column)
}

// Load implements [driver.Loader]. Nobody calls it: rows come by Replicate.
func (l *loader[T]) Load(context.Context, []driver.Key) ([]*T, error) {
	return nil, fmt.Errorf("followsource: reading binding %q: its rows are followed and not read: %w", l.binding, errors.ErrUnsupported)
}
