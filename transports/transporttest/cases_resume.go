package transporttest

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

var resumeCases = []rule{
	{
		name:  "resume at the current version",
		rule:  "a client that holds the current version is told so, and the rows are not sent again",
		setup: setup{rows: 20},
		run: func(ctx context.Context, r *rig) error {
			f, err := r.follow(ctx, items)
			if err != nil {
				return err
			}
			if err := errors.Join(f.connect(ctx), f.batch(ctx)); err != nil {
				return err
			}
			if r.can.Resumes && f.current != 1 {
				return errors.New("the rows were sent again: Abilities.Resumes is declared")
			}
			if err := r.put(ctx, item{ID: 1, Name: r.name()}); err != nil {
				return err
			}
			return f.until(ctx, r.token(items))
		},
	},
	{
		name:  "resume from the log",
		rule:  "a client that comes back soon is told what has changed meanwhile, in one batch or several",
		setup: setup{rows: 200},
		run: func(ctx context.Context, r *rig) error {
			f, err := r.follow(ctx, items)
			if err != nil {
				return err
			}
			f.drop()
			rnd := randomness(3)
			for range 5 {
				if err := r.write(ctx, rnd); err != nil {
					return err
				}
			}
			if err := errors.Join(f.connect(ctx), f.until(ctx, r.token(items))); err != nil {
				return err
			}
			if r.can.Deltas && f.syncs != 1 {
				return errors.New("everything was sent again: Abilities.Deltas is declared")
			}
			return nil
		},
	},
	{
		name:  "resume from too long ago",
		rule:  "a client whose version is no longer in the log is sent everything",
		setup: setup{rows: 20},
		run: func(ctx context.Context, r *rig) error {
			f, err := r.follow(ctx, short)
			if err != nil {
				return err
			}
			f.drop()
			for range 3 * shortLog {
				if err := r.put(ctx, item{ID: 1, Name: r.name()}); err != nil {
					return err
				}
			}
			if err := errors.Join(f.connect(ctx), f.until(ctx, r.token(short))); err != nil {
				return err
			}
			if f.syncs != 2 {
				return fmt.Errorf("%d syncs, want 2", f.syncs)
			}
			return nil
		},
	},
	{
		name:  "resume from no version",
		rule:  "what is no version of the binding (another's token, one cut short, anything at all) leads to everything, and to no harm",
		setup: setup{rows: 20},
		run: func(ctx context.Context, r *rig) error {
			token := r.token(items)
			for _, version := range []string{
				r.token(short), token[:len(token)-1], token + "x", strings.ToLower(token) + strings.ToUpper(token), "0", "*", `"`, "a b&c=d%zz\x00ü", strings.Repeat("A", 2000),
			} {
				f := r.newFollower(items)
				f.version = version
				if err := errors.Join(f.connect(ctx), f.batch(ctx)); err != nil {
					return fmt.Errorf("resuming from %.40q: %w", version, err)
				}
				if f.syncs != 1 {
					return fmt.Errorf("resuming from %.40q: no sync", version)
				}
				f.drop()
			}
			return nil
		},
	},
	{
		name:  "resume after a restart",
		rule:  "versions are content: a client that comes to another node, or to one that was restarted, resumes when the rows are the same",
		setup: setup{rows: 20},
		run: func(ctx context.Context, r *rig) error {
			// The rows change to a third state and back. A node that has just loaded
			// them has no such history.
			f, err := r.follow(ctx, items)
			if err != nil {
				return err
			}
			before := r.table.Rows()[r.table.KeyOf(item{ID: 1})]
			if err := r.put(ctx, item{ID: 1, Name: r.name()}); err != nil {
				return err
			}
			f.drop()
			if err := r.put(ctx, before); err != nil {
				return err
			}
			if f.version != r.token(items) {
				return errors.New("the suite: equal rows, and another version")
			}
			if err := errors.Join(f.connect(ctx), f.batch(ctx)); err != nil {
				return err
			}
			if r.can.Resumes && f.current != 1 {
				return errors.New("the rows were sent again: Abilities.Resumes is declared")
			}
			return nil
		},
	},
	{
		name:  "broken anywhere",
		rule:  "a connection may break after any message; the client resumes from its last whole batch and nothing is lost",
		setup: setup{rows: 1500},
		run: func(ctx context.Context, r *rig) error {
			f := r.newFollower(items)
			rnd := randomness(4)
			for range 40 {
				if err := f.connect(ctx); err != nil {
					return err
				}
				if err := f.anyMessage(ctx); err != nil { // a connection always begins with something
					return err
				}
				for range rnd.IntN(4) {
					if err := r.write(ctx, rnd); err != nil {
						return err
					}
					for range rnd.IntN(3) { // no more messages than are certain to come
						if f.version == r.token(items) && len(f.pending) == 0 {
							break
						}
						if err := f.anyMessage(ctx); err != nil {
							return err
						}
					}
				}
				f.drop()
				if err := r.write(ctx, rnd); err != nil {
					return err
				}
			}
			return errors.Join(f.connect(ctx), f.until(ctx, r.token(items)))
		},
	},
}
