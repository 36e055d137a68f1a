package transporttest

import (
	"context"
	"errors"
	"fmt"
)

var stateCases = []rule{
	{
		name:  "state then changes",
		rule:  "a client begins with everything, in however many messages, and is then told of each change",
		setup: setup{rows: 2500},
		run: func(ctx context.Context, r *rig) error {
			f, err := r.follow(ctx, items)
			if err != nil {
				return err
			}
			if f.syncs != 1 {
				return errors.New("the first batch is no sync")
			}
			rnd := randomness(1)
			for range 12 {
				if err := r.write(ctx, rnd); err != nil {
					return err
				}
				if err := f.until(ctx, r.token(items)); err != nil {
					return err
				}
			}
			if r.can.Deltas && f.syncs != 1 {
				return fmt.Errorf("a client that kept up was sent %d syncs; Abilities.Deltas is declared", f.syncs-1)
			}
			return nil
		},
	},
	{
		name: "nothing at first",
		rule: "a binding without rows is a state like any other: it is told, and so is becoming empty again",
		run: func(ctx context.Context, r *rig) error {
			f, err := r.follow(ctx, items)
			if err != nil {
				return err
			}
			if err := r.put(ctx, item{ID: 1, Name: "first"}); err != nil {
				return err
			}
			if err := f.until(ctx, r.token(items)); err != nil {
				return err
			}
			if err := r.remove(ctx, 1); err != nil {
				return err
			}
			if err := f.until(ctx, r.token(items)); err != nil {
				return err
			}
			again, err := r.follow(ctx, items)
			if err == nil && len(again.rows) != 0 {
				err = fmt.Errorf("an empty binding shows %v", again.rows)
			}
			return err
		},
	},
	{
		name:  "rows that leave",
		rule:  "a row that no longer matches the filter is deleted, and what it has become is not shown to those who may not see it",
		setup: setup{rows: 30},
		run: func(ctx context.Context, r *rig) error {
			f, err := r.follow(ctx, visible)
			if err != nil {
				return err
			}
			for i := range 30 {
				// The client's rows are compared with the binding's, and a
				// delete with the key: so nothing else can have been shown.
				if err := r.put(ctx, item{ID: i + 1, Name: "secret", Visible: false}, item{ID: 100 + i, Name: r.name(), Visible: true}); err != nil {
					return err
				}
				if err := f.until(ctx, r.token(visible)); err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		name:  "while writes go on",
		rule:  "batches are whole versions, in order and without repetition, however fast they come",
		setup: setup{rows: 50},
		run: func(ctx context.Context, r *rig) error {
			f, err := r.follow(ctx, items)
			if err != nil {
				return err
			}
			written := make(chan error, 1)
			go func() {
				rnd := randomness(2)
				for range 300 {
					if err := r.write(ctx, rnd); err != nil {
						written <- err
						return
					}
				}
				written <- nil
			}()
			for {
				select {
				case err := <-written:
					return errors.Join(err, f.until(ctx, r.token(items)))
				default:
				}
				if f.version == r.token(items) && len(f.pending) == 0 {
					// Nothing may come any more: only ask when something must.
					if err := r.put(ctx, item{ID: 1000, Name: r.name()}); err != nil {
						return errors.Join(err, <-written)
					}
				}
				if err := f.batch(ctx); err != nil {
					return errors.Join(err, <-written)
				}
			}
		},
	},
}
