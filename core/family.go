package core

import (
	"context"
	"fmt"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
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

// Hold returns the binding, or the member of a family that the arguments name,
// once it has loaded. A member comes alive when it is not, and stays so until
// release is called; calling release twice is harmless.
//
// Hold asks no authorizer: it is for the program itself and for its operators.
// Clients come through [Registry.Open]. The error is one of [ErrUnknownBinding],
// [*ArgumentError], [ErrTooManyMembers], [ErrBudget], [ErrNotStarted],
// [live.ErrRemoved] and [live.ErrClosed], or the context's: a database that is away
// makes it wait.
func (r *Registry) Hold(ctx context.Context, binding string, args Args) (view *live.View, release func(), err error) {
	v, err := r.named(binding)
	if err != nil {
		return nil, nil, err
	}
	params, err := v.family.parse(args)
	if err != nil {
		return nil, nil, err
	}
	if err := v.family.askAbout(ctx, params, nil); err != nil {
		return nil, nil, err
	}
	l, err := v.family.open(ctx, params, nil, "")
	if err != nil {
		return nil, nil, err
	}
	select {
	case <-l.view.Loaded():
		return l.view.View, l.release, nil
	case <-l.view.Done():
		err = l.view.Err()
	case <-ctx.Done():
		err = ctx.Err()
	}
	l.release()
	return nil, nil, fmt.Errorf("core: loading binding %q: %w", l.view.ID(), err)
}
