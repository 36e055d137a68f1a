package core

import (
	"context"
	"fmt"

	"github.com/binderyhq/bindery/core/driver"
)

// Family is a binding with parameters: for each combination of their values it
// has a member, which is a binding of its own. Members come alive when they are
// first asked for, are shared by all who ask with the same values, and retire
// when nobody has used them for a while; see [Tuning].
//
// The parameters are those of its filter, see [filter.Param]; their types are
// those of the columns that they are compared with.
//
// All methods may be called from any goroutine.
type Family[T any] struct{ proto *publisher }

// BindFamily declares a family over a loader. It does no input or output;
// problems are reported by [Registry.Start].
func BindFamily[T any](name string, loader driver.Loader[T], opts ...Option) *Family[T] {
	opts = append(opts[:len(opts):len(opts)], func(s *settings) { s.Family = true })
	return &Family[T]{declare(name, loader, opts)}
}

func (f *Family[T]) publisher() *publisher {
	if f == nil {
		return nil
	}
	return f.proto
}

// Name returns the family's name.
func (f *Family[T]) Name() string { return f.proto.Name() }

// Member is a member of a family in use. It is a [Binding] of its own, and stays
// alive until Close.
type Member[T any] struct {
	*Binding[T]
	lease *memberLease
}

// Close says that the member is not used any more by who opened it. Closing
// twice is harmless.
func (m *Member[T]) Close() { m.lease.release() }

// Open returns the member with these parameters, and waits until it has loaded.
// The error is an [*ArgumentError] when an argument is missing, unknown or of the
// wrong type, [ErrTooManyMembers], [ErrBudget], [ErrNotStarted], [live.ErrRemoved], [live.ErrClosed],
// or the context's: a database that is away makes it wait.
//
// No authorizer is asked: this is for the program itself. Clients come through
// [Registry.Open].
func (f *Family[T]) Open(ctx context.Context, args Args) (*Member[T], error) {
	fam := f.proto.family
	params, err := fam.parse(args)
	if err != nil {
		return nil, err
	}
	l, err := fam.open(ctx, params, nil, "")
	if err != nil {
		return nil, err
	}
	select {
	case <-l.view.Loaded():
		return &Member[T]{&Binding[T]{View: l.view.View, own: l.view}, l}, nil
	case <-l.view.Done():
		err = l.view.Err()
	case <-ctx.Done():
		err = ctx.Err()
	}
	l.release()
	return nil, fmt.Errorf("core: loading binding %q: %w", l.view.ID(), err)
}
