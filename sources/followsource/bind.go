package followsource

import (
	"errors"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/internal/replicate"
)

// Bind declares a binding with the rows of the origin's binding of the same name. A
// row's JSON is decoded into T: a struct, or [json.RawMessage] for programs that do not
// read rows. The only option with an effect is [core.Tune].
func Bind[T any](o *Origin, name string, opts ...core.Option) *core.Binding[T] {
	return core.Bind[T](name, newLoader[T](o, name), opts...)
}

// BindFamily declares a family with the members of the origin's family of the same
// name. Its options declare the parameters: [core.Where] with a filter that compares
// them with fields of T, as at the origin.
func BindFamily[T any](o *Origin, name string, opts ...core.Option) *core.Family[T] {
	return core.BindFamily[T](name, newLoader[T](o, name), opts...)
}

// loader describes rows of T, and replicates.
type loader[T any] struct {
	*replicate.Loader[T]
	origin *Origin
}

var (
	_ driver.Loader[struct{}] = (*loader[struct{}])(nil)
	_ core.Replicator         = (*loader[struct{}])(nil)
	_ core.OriginReporter     = (*loader[struct{}])(nil)
)

// Origin implements [core.OriginReporter].
func (l *loader[T]) Origin() core.Origin {
	if l.origin == nil {
		return nil
	}
	return l.origin
}

func newLoader[T any](o *Origin, binding string) *loader[T] {
	if o == nil {
		return &loader[T]{Loader: replicate.NewLoader[T]("", binding, errors.New("followsource: its origin is nil"))}
	}
	return &loader[T]{replicate.NewLoader[T](o.name(), binding, o.check()), o}
}
