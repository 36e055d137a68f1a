package core

import (
	"errors"
	"fmt"

	"github.com/binderyhq/bindery/core/live"
)

// Saved returns a binding's current version as [Registry.Restore] takes it. It makes
// every row that it has not looked at before of its JSON, a few microseconds each, to
// see whether that holds all of it, and shares the rows' bytes with the binding.
// unvalued says why Go values cannot be made of what is saved, because a column is no
// part of the rows' JSON for example; nil when they can.
//
// The error wraps [ErrUnknownBinding] when the view is none of the registry's, and
// [live.ErrNotLoaded] when it has not been read from the database yet.
func (r *Registry) Saved(view *live.View) (s live.Saved, unvalued, err error) {
	v := r.publisherOf(view)
	if v == nil {
		return live.Saved{}, nil, fmt.Errorf("core: binding %q: %w", view.ID(), ErrUnknownBinding)
	}
	if v.replica != nil {
		return live.Saved{}, nil, fmt.Errorf("core: binding %q is followed from another node, which it is loaded from: %w", view.ID(), errors.ErrUnsupported)
	}
	snap := v.Snapshot()
	if v.Unread() || snap == nil {
		return live.Saved{}, nil, fmt.Errorf("core: binding %q: %w", view.ID(), live.ErrNotLoaded)
	}
	s, unvalued = v.Member.Saved(snap)
	return s, unvalued, nil
}

// Restore has a binding serve the rows that an earlier run has saved, at once and
// until the database has been read. Then it goes on from them: clients are told what
// differs, and those that resume from the saved version get the same. [Registry.Start]
// does not wait for what was restored, so a database that is away does not delay
// it. Meanwhile the binding's state is [status.Restored].
//
// Go code reads the saved rows too, if their values were saved; otherwise it finds
// none, as before the first load.
//
// Only a plugin's Start may call it, see [Plugin]: for several bindings at the same
// time if it likes. The error wraps [ErrStarted], [live.ErrClosed], or
// [ErrUnknownBinding]; [live.ErrOtherDeclaration] when the binding or the type of its
// rows has changed since; or one of those of [live.Publisher.Restore]. The binding
// then loads as usual.
func (r *Registry) Restore(view *live.View, s live.Saved) error {
	r.mu.Lock()
	p := r.phase
	r.mu.Unlock()
	switch p {
	case starting:
	case closing:
		return live.ErrClosed
	default:
		return fmt.Errorf("core: restoring a binding: %w", ErrStarted)
	}
	v := r.publisherOf(view)
	if v == nil {
		return fmt.Errorf("core: binding %q: %w", view.ID(), ErrUnknownBinding)
	}
	if v.replica != nil {
		return fmt.Errorf("core: binding %q is followed from another node: %w", view.ID(), errors.ErrUnsupported)
	}
	if err := v.Member.Restore(s, r.Now()); err != nil {
		return fmt.Errorf("core: restoring: %w", err)
	}
	return nil
}
