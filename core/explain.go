package core

import (
	"context"
	"fmt"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/onerow"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// Explain says why the row with the key is in the binding, or is not: which parts
// of the filter hold for the row as the database has it now, whether it is among
// the first rows of a [Limit], and which sources watch. It reads the row, and
// asks the database whatever Go cannot tell. The error is [ErrNotStarted], or
// that of the read.
func (b *Binding[T]) Explain(ctx context.Context, key driver.Key) (status.Explain, error) {
	return b.own.explain(ctx, key)
}

// Explain explains for a view what [Binding.Explain] does. It returns
// [ErrUnknownBinding] for a view of another registry.
func (r *Registry) Explain(ctx context.Context, view *live.View, key driver.Key) (status.Explain, error) {
	bindings, err := r.publishers([]*live.View{view})
	if err != nil {
		return status.Explain{}, err
	}
	return bindings[0].explain(ctx, key)
}

func (v *publisher) explain(ctx context.Context, key driver.Key) (status.Explain, error) {
	if v.replica != nil {
		return v.replica.explain(key), nil
	}
	f, sh := v.feed.Load(), v.Shape.Load()
	if f == nil || sh == nil {
		return status.Explain{}, fmt.Errorf("core: binding %q: %w", v.Name(), ErrNotStarted)
	}
	out := status.Explain{Sources: v.family.shared.Load().eng.SourcesOf(v.Tables())}
	if s := v.Snapshot(); s != nil {
		_, out.In = s.Get(key)
	}
	why, err := onerow.Explain(ctx, v.Member, key)
	if err != nil {
		return status.Explain{}, fmt.Errorf("core: explaining a row of binding %q: %w", v.Name(), err)
	}
	out.Why = why
	holds := !slices.ContainsFunc(out.Why, func(r status.Reason) bool { return !r.Holds })
	if state, _, err := f.State(v.Member); holds != out.In && state != status.Live {
		reason := status.Reason{Binding: state.String()}
		if err != nil {
			reason.Detail = err.Error()
		}
		out.Why = append(out.Why, reason)
	}
	return out, nil
}
