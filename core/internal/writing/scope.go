package writing

import (
	"context"

	"github.com/binderyhq/bindery/core/live"
)

// precheck refuses a write to a row that the binding does not hold, or that may
// not be written, without a lock: to wait for one tells that somebody is at
// work on the row. A row that the binding shows has been seen anyway, and is
// looked at once, when it is locked.
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

// checkBounds makes sure that the row is one that may be written.
func (o *writing) checkBounds(ctx context.Context) error {
	in, err := o.Meets(ctx, o.bounds.Scope)
	if err == nil && !in {
		err = o.bounds.Denied
	}
	return err
}

// checkValues refuses a row that is certain to lie outside, before the database
// may object to it: its constraints know rows that the client may not.
func (o *writing) checkValues(row any, known []string) error {
	if !o.Member.Spec.Rules.RowsMayLeave && !o.MayMeet(o.Member.Filter, row, known) || !o.MayMeet(o.Member.Scope, row, known) {
		return o.wouldLeave()
	}
	if !o.MayMeet(o.bounds.Scope, row, known) {
		return o.bounds.Denied
	}
	return nil
}
