package core

import (
	"context"
	"errors"
	"fmt"

	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/status"
)

// verifyAttempts is how often Verify tries to find the table at a moment when
// it is known what is under way.
const verifyAttempts = 5

// compare compares the binding with the database, see [Binding.Verify].
func (v *publisher) compare(ctx context.Context) (status.Drift, error) {
	for range verifyAttempts {
		a := &backlog.Verification{Member: v.Member}
		if err := v.verify(ctx, a); err != nil {
			return status.Drift{}, fmt.Errorf("core: verifying binding %q: %w", v.Name(), err)
		}
		if !a.Busy {
			return a.Drift, nil
		}
	}
	return status.Drift{}, fmt.Errorf("core: verifying binding %q: %w", v.Name(), errBusy)
}

func (v *publisher) verify(ctx context.Context, a *backlog.Verification) error {
	f := v.feed.Load()
	switch schema := v.Schema(); {
	case v.replica != nil: // each of its versions is compared with the origin's by its token
		return v.reread(ctx, backlog.Reload{})
	case f == nil:
		return ErrNotStarted
	case len(schema.Depends) > 0: // it is read in full whatever is read of it
		return v.reread(ctx, backlog.Reload{Audits: []*backlog.Verification{a}})
	}
	select {
	case <-v.Loaded():
	case <-v.Done():
		return v.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
	err := f.Verify(ctx, a)
	if why := v.Err(); why != nil {
		return why
	}
	return err
}

var errBusy = errors.New("the whole table was under change at each attempt")
