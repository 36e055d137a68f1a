package transporttest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
)

// markCases are for transports with [Abilities].Marks.
var markCases = []rule{
	{
		name:  "mark of a write",
		rule:  "a client that asks about a mark is told when it has been sent everything that the mark covers, and not before",
		setup: setup{rows: 20},
		run: func(ctx context.Context, r *rig) error {
			if err := r.canMark(); err != nil || !r.can.Marks {
				return err
			}
			f, err := r.follow(ctx, items)
			if err != nil {
				return err
			}
			for id := range 5 {
				unseen := item{ID: 900 + id, Name: r.name()}
				if err := f.marks(ctx, r.table.Put(unseen)); err != nil {
					return err
				}
				if _, ok := f.rows[unseen.ID]; !ok {
					return fmt.Errorf("the mark is answered, and row %d, which was there before it was made, has not been sent", unseen.ID)
				}
			}
			return nil
		},
	},
	{
		name:  "mark of what changes nothing",
		rule:  "a mark is answered also when what it covers changes nothing in the binding",
		setup: setup{rows: 20},
		run: func(ctx context.Context, r *rig) error {
			if err := r.canMark(); err != nil || !r.can.Marks {
				return err
			}
			f, err := r.follow(ctx, visible)
			if err != nil {
				return err
			}
			before := f.version
			for id := range 3 {
				if err := f.marks(ctx, r.table.Put(item{ID: 900 + id, Name: r.name()})); err != nil {
					return err
				}
			}
			if f.version != before {
				return errors.New("the version has changed, though nothing did")
			}
			return nil
		},
	},
	{
		name:  "what is no mark",
		rule:  "what is no mark, or one of another node, is refused, and the client goes on",
		setup: setup{rows: 20},
		run: func(ctx context.Context, r *rig) error {
			if err := r.canMark(); err != nil || !r.can.Marks {
				return err
			}
			foreign, err := foreignMark(ctx)
			if err != nil {
				return err
			}
			f, err := r.follow(ctx, items)
			if err != nil {
				return err
			}
			for _, bad := range []string{"", "no mark", foreign} {
				err := f.client.(MarkAsker).AskMark(ctx, bad)
				for err == nil {
					var m Message
					if m, err = f.client.Next(ctx); m.Action == Marked {
						return fmt.Errorf("%q is answered as if it were reached", bad)
					}
				}
				if !errors.Is(err, ErrNoMark) {
					return fmt.Errorf("%q: %w, want transporttest.ErrNoMark", bad, err)
				}
			}
			return errors.Join(r.put(ctx, item{ID: 1, Name: r.name()}), f.until(ctx, r.token(items)))
		},
	},
}

// canMark checks that the harness's clients match its abilities.
func (r *rig) canMark() error {
	c, err := r.connect(context.Background(), items, "")
	if err != nil {
		return err
	}
	if _, asks := c.(MarkAsker); asks != r.can.Marks {
		return fmt.Errorf("Abilities.Marks is %t; that clients are MarkAskers: %t", r.can.Marks, asks)
	}
	return nil
}

// marks makes a mark while a change is committed but not reported, and asks about the
// mark. The change is reported while the client waits.
func (f *follower) marks(ctx context.Context, change driver.Change) error {
	f.r.source.Sink().Lost(errors.New("blind, for the sake of the case"))
	mark, err := f.r.reg.Mark(ctx)
	if err != nil {
		return err
	}
	asked := make(chan error, 1)
	ask := func() { asked <- f.client.(MarkAsker).AskMark(ctx, mark) }
	if f.r.can.Streams {
		ask()
	} else {
		go ask() // it may be held
	}
	f.r.source.Sink().Report(change)
	f.r.source.Sink().Watching()
	if err := <-asked; err != nil {
		return fmt.Errorf("asking about a mark: %w", err)
	}
	for f.marked = ""; f.marked != mark; {
		if err := f.anyMessage(ctx); err != nil {
			return fmt.Errorf("waiting for the answer to a mark: %w", err)
		}
	}
	return nil
}

// foreignMark returns the mark of another registry.
func foreignMark(ctx context.Context) (string, error) {
	other := core.Config{Logger: slog.New(slog.DiscardHandler)}.NewRegistry()
	if err := other.Start(ctx); err != nil {
		return "", err
	}
	mark, err := other.Mark(ctx)
	return mark, errors.Join(err, other.Shutdown(ctx))
}
