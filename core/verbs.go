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
	if err := r.running(); err != nil {
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
	bindings, err := r.bindings.chosen(views)
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
	bindings, err := r.bindings.chosen(views)
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
	bindings, err := r.bindings.chosen(views)
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
	bindings, err := r.bindings.chosen([]*live.View{view})
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
	v := r.bindings.of(view)
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
	v := r.bindings.of(view)
	if v == nil {
		return fmt.Errorf("core: binding %q: %w", view.ID(), ErrUnknownBinding)
	}
	return v.rows.Restore(s, r.Now())
}

// Mark returns a mark: opaque text of at most 256 characters (letters, digits, - and _)
// that names a point in the history of commits. It covers everything committed before the
// call, by any process, as far as the registry's sources can tell when asked. Call it after
// a commit, and give it to whoever should see that commit:
//
//	mark, err := reg.Mark(r.Context())
//	w.Header().Set("Bindery-Mark", mark)
//
// [Registry.Reach] waits until bindings show all that. Other nodes on the same database
// understand a mark if a source of this node is a [driver.Marker]; otherwise it is foreign
// to them. Without such a source a mark is valid until this process ends.
//
// Mark asks those sources, for half a second at most. The error is [ErrNotStarted],
// [live.ErrClosed] or the context's.
func (r *Registry) Mark(ctx context.Context) (string, error) {
	if err := r.running(); err != nil {
		return "", err
	}
	return r.marks.mark(ctx)
}

// Reach waits until each of these bindings, or every binding when the list is empty, shows
// everything that the mark covers. Usually it returns at once, or as soon as the sources
// have answered a query. A binding that is rerun at an interval ([Tuning].MinInterval)
// reaches a mark when it publishes a run that began after everything was reported. A
// binding in trouble reaches it when it is current again.
//
// The context bounds the wait; its error means that the mark was not reached in time. The
// other errors are [ErrMalformedMark], [ErrForeignMark], [ErrTooManyWait],
// [ErrUnknownBinding], [ErrNotStarted], [live.ErrRemoved] and [live.ErrClosed].
func (r *Registry) Reach(ctx context.Context, mark string, views ...*live.View) error {
	if err := r.running(); err != nil {
		return err
	}
	bindings, err := r.bindings.chosen(views)
	if err != nil {
		return err
	}
	for _, v := range bindings {
		err := r.marks.reach(ctx, v, mark)
		if len(views) == 0 && errors.Is(v.Err(), live.ErrRemoved) {
			continue // it was removed meanwhile, and the caller did not name it
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Reauthorize asks the authorizer again about every subscription that it has allowed, and
// ends those that it no longer allows: nothing published after Reauthorize has returned
// reaches them. Call it when somebody's rights have changed. It also happens regularly, see
// [Config.ReauthorizeEvery].
//
// It returns the context's error when that ends first; some subscriptions then have not
// been rechecked. So a handler whose client may hang up passes a context without
// cancellation, see [context.WithoutCancel]. When the authorizer fails for a subscription,
// the subscription goes on, and Reauthorize returns the errors, joined.
func (r *Registry) Reauthorize(ctx context.Context) error { return r.rights.reask(ctx) }

// Hold returns the binding, or the member of a family that the arguments select, once it
// has loaded. It creates the member if necessary, and keeps it alive until release is
// called; calling release twice is harmless.
//
// Hold does not ask the authorizer: it is for the program itself and for its operators.
// Clients come through [Registry.Open]. The error is one of [ErrUnknownBinding],
// [*ArgumentError], [ErrTooManyMembers], [ErrBudget], [ErrNotStarted], [live.ErrRemoved]
// and [live.ErrClosed], or the context's. While the database is away Hold waits, so give
// the context a deadline.
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
