package core

import (
	"context"
	"fmt"

	"github.com/binderyhq/bindery/core/live"
)

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
