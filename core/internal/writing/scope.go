package writing

import (
	"context"

	"github.com/binderyhq/bindery/core/live"
)

// precheck refuses a write to a row that the binding does not hold, or that the
// client may not write, before the row is locked: a wait for the lock would reveal
// that somebody is changing it. If the binding shows the row, clients know it, and
// only the bounds are checked here.
func (o *writing) precheck(ctx context.Context) error {
	if o.w.Op == live.Insert {
		return nil
	}
	if _, shown := o.Member.Snapshot().Get(o.Key); !shown {
		member, err := o.IsKey(ctx)
		if member && err == nil {
			member, err = o.IsMember(ctx)
		}
		if err != nil {
			return err
		}
		if !member {
			return live.ErrNoRow
		}
	}
	return o.checkBounds(ctx)
}

// checkBounds returns the error of the bounds if the row lies outside of them.
func (o *writing) checkBounds(ctx context.Context) error {
	in, err := o.Meets(ctx, o.bounds.Scope)
	if err == nil && !in {
		err = o.bounds.Denied
	}
	return err
}

// checkValues refuses a row that certainly lies outside of the bounds, before the
// database can object: a constraint's error could reveal rows that the client must
// not see.
func (o *writing) checkValues(row any, known []string) error {
	if !o.Member.Spec.Rules.RowsMayLeave && !o.MayMeet(o.Member.Filter, row, known) || !o.MayMeet(o.Member.Scope, row, known) {
		return o.wouldLeave()
	}
	if !o.MayMeet(o.bounds.Scope, row, known) {
		return o.bounds.Denied
	}
	return nil
}
