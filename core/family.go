package core

import (
	"context"
	"fmt"

	"github.com/binderyhq/bindery/core/driver"
)

// Family is a binding with parameters: each combination of their values has a member, which
// is a binding of its own. A member is created when it is first asked for, shared by
// everyone who asks with the same values, and ended when it has been unused for a while;
// see [Tuning].
//
// The parameters are those in its filter, see [filter.Param], with the types of the columns
// that they are compared with, and those of [OrderParam] and [LimitParam].
//
// All methods may be called from any goroutine.
type Family[T any] struct{ proto *binding }

// BindFamily declares a family over a loader. It does no I/O; [Registry.Start] reports
// problems.
func BindFamily[T any](name string, loader driver.Loader[T], opts ...Option) *Family[T] {
	opts = append(opts[:len(opts):len(opts)], func(s *settings) { s.Family = true })
	return &Family[T]{declare(name, loader, opts)}
}

func (f *Family[T]) untyped() *binding {
	if f == nil {
		return nil
	}
	return f.proto
}

// Name returns the family's name.
func (f *Family[T]) Name() string { return f.proto.Name() }

// Member is a member of a family in use. It is a [Binding], and stays alive until Close.
type Member[T any] struct {
	*Binding[T]
	lease *memberLease
}

// Close says that its opener no longer uses the member. Closing twice is harmless.
func (m *Member[T]) Close() { m.lease.release() }

// Open returns the member with these parameters once it has loaded. The error is an
// [*ArgumentError] when an argument is missing, unknown or of the wrong type,
// [ErrTooManyMembers], [ErrBudget], [ErrNotStarted], [live.ErrRemoved], [live.ErrClosed],
// or the context's. While the database is away Open waits, so give the context a deadline.
//
// Open does not ask the authorizer: it is for the program itself. Clients come through
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
