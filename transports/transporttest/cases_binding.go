package transporttest

import (
	"context"
	"errors"
	"fmt"
	"io"
)

var bindingCases = []rule{
	{
		name: "an unknown binding",
		rule: "there is nothing to follow, and the client is told so",
		run: func(ctx context.Context, r *rig) error {
			for _, name := range []string{"nothing", "Items", "items2", "a b", "../items", "ü"} {
				if err := r.refuses(ctx, name); err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		name:  "a binding that has not loaded yet",
		rule:  "no state is shown before there is one: the client waits, or is told to come again",
		setup: setup{rows: 5, held: true},
		run: func(ctx context.Context, r *rig) error {
			f := r.newFollower(items)
			refused, first := make(chan struct{}, 1), make(chan error, 1)
			go func() {
				// The rows of the first batch are compared with the binding's, so they
				// cannot be those of an empty state.
				first <- f.comeAgain(ctx, refused)
			}()
			err := eventually(ctx, "a client of a binding that has not loaded waits, or is told to come again", func() bool {
				return len(refused) > 0 || len(first) > 0 || r.view(items).Counts().Subscribers > 0
			})
			if err == nil && len(first) > 0 {
				err = errors.New("there was a batch before the binding had loaded")
			}
			r.release()
			if err := errors.Join(err, <-first); err != nil {
				return err
			}
			if len(f.rows) != 5 {
				return fmt.Errorf("the first batch has %d rows, want 5", len(f.rows))
			}
			return nil
		},
	},
	{
		name:  "a binding that is added later",
		rule:  "bindings come while the program runs: they are looked up at each request",
		setup: setup{rows: 5},
		run: func(ctx context.Context, r *rig) error {
			const late = "late"
			if err := r.refuses(ctx, late); err != nil {
				return err
			}
			b := r.bind(late)
			if err := r.reg.Add(b); err != nil {
				return err
			}
			select {
			case <-b.Loaded():
			case <-ctx.Done():
				return ctx.Err()
			}
			_, err := r.follow(ctx, late)
			return err
		},
	},
	{
		name:  "a binding that is removed",
		rule:  "its clients are told that there is no more, new ones that there is no such binding; one of the same name is another",
		setup: setup{rows: 5},
		run: func(ctx context.Context, r *rig) error {
			f, err := r.follow(ctx, items)
			if err != nil {
				return err
			}
			stays, err := r.follow(ctx, short)
			if err != nil {
				return err
			}
			gone := r.view(items)
			if err := r.reg.Remove(ctx, items); err != nil {
				return err
			}
			if err := f.toTheEnd(ctx); err != nil {
				return fmt.Errorf("after its binding was removed: %w", err)
			}
			if err := r.refuses(ctx, items); err != nil {
				return err
			}
			if err := eventually(ctx, "a removed binding has no subscriber", func() bool { return gone.Counts().Subscribers == 0 }); err != nil {
				return err
			}
			again := r.bind(items)
			if err := r.reg.Add(again); err != nil {
				return err
			}
			select {
			case <-again.Loaded():
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := r.put(ctx, item{ID: 1, Name: r.name()}); err != nil {
				return err
			}
			// The rows have changed meanwhile, and its first client comes back.
			return errors.Join(f.connect(ctx), f.until(ctx, r.token(items)), stays.until(ctx, r.token(short)))
		},
	},
}

// refuses checks that no binding of that name can be followed.
func (r *rig) refuses(ctx context.Context, name string) error {
	c, err := r.connect(ctx, name, "")
	if err == nil {
		_, err = c.Next(ctx)
		c.Close()
	}
	if !errors.Is(err, ErrRefused) {
		return fmt.Errorf("there is no binding %q, and following it gave %v, not ErrRefused", name, err)
	}
	return nil
}

// comeAgain connects and takes the first batch. It tries again while the binding is not
// available.
func (f *follower) comeAgain(ctx context.Context, refused chan<- struct{}) error {
	var err error
	again := func() bool {
		if err = f.connect(ctx); err == nil {
			err = f.batch(ctx)
		}
		if !errors.Is(err, ErrUnavailable) {
			return true
		}
		select {
		case refused <- struct{}{}:
		default:
		}
		return false
	}
	if late := eventually(ctx, "the binding is available", again); late != nil {
		return late
	}
	if errors.Is(err, io.EOF) {
		return unexpectedEnd(err)
	}
	return err
}
