package core

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/feed"
	"github.com/binderyhq/bindery/core/internal/upkeep"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// Flush waits until every binding shows all changes reported so far, including those that a
// source missed while it was lost. It does not wait for comparisons requested by polls
// ([driver.Change].Compare), nor for bindings in trouble, whose status gives the reason. It
// returns the context's error when that ends first, [ErrNotStarted] or [live.ErrClosed].
func (r *Registry) Flush(ctx context.Context) error {
	r.mu.Lock()
	p := r.phase
	r.mu.Unlock()
	if err := p.running(); err != nil {
		return err
	}
	var marks feed.Receipt
	for _, f := range r.eng.Feeds() {
		marks = append(append(marks, f.Barrier()), f.Mends()...)
	}
	return marks.Flush(ctx)
}

// Resync reads all rows of these bindings again, or of every binding when the list is
// empty; see [Binding.Resync].
func (r *Registry) Resync(ctx context.Context, views ...*live.View) error {
	return r.reload(ctx, false, views)
}

// Clear discards and reads again all rows of these bindings, or of every binding when the
// list is empty; see [Binding.Clear].
func (r *Registry) Clear(ctx context.Context, views ...*live.View) error {
	return r.reload(ctx, true, views)
}

func (r *Registry) reload(ctx context.Context, forget bool, views []*live.View) error {
	bindings, err := r.chosen(views)
	if err != nil {
		return err
	}
	waits := make([]upkeep.Wait, len(bindings))
	for i, v := range bindings {
		if waits[i], err = v.rows.Reload(backlog.Reload{Forget: forget}); err != nil {
			return err
		}
	}
	for _, wait := range waits {
		if err := wait(ctx, len(views) > 0); err != nil {
			return err
		}
	}
	return nil
}

// Touch sets the time of change of these bindings to now, or of every binding when the list
// is empty; see [Binding.Touch].
func (r *Registry) Touch(views ...*live.View) error {
	bindings, err := r.chosen(views)
	errs := []error{err}
	for _, v := range bindings {
		errs = append(errs, v.touch())
	}
	return errors.Join(errs...)
}

// Verify compares these bindings with the database, or every binding when the list is
// empty, a few at a time; see [Binding.Verify]. It returns the drift of each binding that
// has drifted, by [live.View.ID], and joins the errors.
func (r *Registry) Verify(ctx context.Context, views ...*live.View) (map[string]status.Drift, error) {
	bindings, err := r.chosen(views)
	if err != nil {
		return nil, err
	}
	var (
		verifying sync.WaitGroup
		mu        sync.Mutex // guards what follows
		drifted   = make(map[string]status.Drift)
		errs      []error
	)
	free := make(chan struct{}, maxVerifying)
	for _, v := range bindings {
		free <- struct{}{}
		verifying.Go(func() {
			defer func() { <-free }()
			drift, err := v.compare(ctx)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
			}
			if drift.Len() > 0 {
				drifted[v.ID()] = drift
			}
		})
	}
	verifying.Wait()
	return drifted, errors.Join(errs...)
}

// maxVerifying bounds the bindings that Verify compares at a time. Bindings of one table
// share their reads.
const maxVerifying = 16

// Explain does for a view what [Binding.Explain] does. It returns [ErrUnknownBinding] for a
// view that is not in the registry.
func (r *Registry) Explain(ctx context.Context, view *live.View, key driver.Key) (status.Explain, error) {
	bindings, err := r.chosen([]*live.View{view})
	if err != nil {
		return status.Explain{}, err
	}
	return bindings[0].explain(ctx, key)
}

// Saved returns a binding's current version in the form that [Registry.Restore] takes. The
// result shares the rows' bytes with the binding. To check whether a row's JSON holds all
// of its Go value, Saved rebuilds each row from it that it has not checked before, a few
// microseconds each. unvalued says why Go values cannot be rebuilt from the saved data, for
// example because the rows' JSON lacks a column; nil when they can.
//
// The error wraps [ErrUnknownBinding] when the view is not in the registry, and
// [live.ErrNotLoaded] when it has not been read from the database yet.
func (r *Registry) Saved(view *live.View) (s live.Saved, unvalued, err error) {
	v := r.bindingOf(view)
	if v == nil {
		return live.Saved{}, nil, fmt.Errorf("core: binding %q: %w", view.ID(), ErrUnknownBinding)
	}
	return v.rows.Saved()
}

// Restore makes a binding serve rows saved by an earlier run, at once and until the
// database has been read. The binding then continues from them: clients are told the
// differences, and so are those that resume from the saved version. [Registry.Start] does
// not wait for restored bindings, so a database that is away does not delay it. Meanwhile
// the binding's state is [status.Restored].
//
// Go code sees the saved rows too if their values were saved; otherwise it sees none, as
// before the first load.
//
// Call it only from a plugin's Start, see [Plugin], concurrently for several bindings if
// you like. The error wraps [ErrNotStarted] before [Registry.Start], [ErrStarted] when the
// plugins have started, and [live.ErrClosed] after Shutdown. It wraps [ErrUnknownBinding]
// when the view is not in the registry, and [live.ErrOtherDeclaration] when the binding or
// the type of its rows has changed since. It may also be one of the errors of
// [live.Publisher.Restore]. After an error the binding loads as usual.
func (r *Registry) Restore(view *live.View, s live.Saved) error {
	r.mu.Lock()
	p := r.phase
	r.mu.Unlock()
	switch p {
	case starting:
	case collecting:
		return fmt.Errorf("core: restoring a binding before Start: %w", ErrNotStarted)
	default:
		return p.refusal("restoring a binding")
	}
	v := r.bindingOf(view)
	if v == nil {
		return fmt.Errorf("core: binding %q: %w", view.ID(), ErrUnknownBinding)
	}
	return v.rows.Restore(s, r.Now())
}
