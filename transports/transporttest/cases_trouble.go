package transporttest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/status"
)

// unreadable is the prefix of names of rows that the binding of these cases cannot
// show.
const unreadable = "unreadable"

var troubleCases = []rule{
	{
		name:  "a row that cannot be shown",
		rule:  "it concerns the binding that shows it: that one's clients keep the last whole version, and are led on when the row is mended; nobody else notices",
		setup: setup{rows: 20},
		run: func(ctx context.Context, r *rig) error {
			const shown = "shown"
			b := r.bind(shown, core.Serialize(func(it item) item {
				if strings.HasPrefix(it.Name, unreadable) {
					panic("cannot show " + it.Name)
				}
				return it
			}))
			if err := r.reg.Add(b); err != nil {
				return err
			}
			select {
			case <-b.Loaded():
			case <-ctx.Done():
				return ctx.Err()
			}
			troubled, err := r.follow(ctx, shown)
			if err != nil {
				return err
			}
			others, err := r.follow(ctx, items)
			if err != nil {
				return err
			}
			before := r.token(shown)
			for i := range 3 {
				if err := r.put(ctx, item{ID: 2, Name: fmt.Sprint(unreadable, i)}, item{ID: 30 + i, Name: r.name()}); err != nil {
					return err
				}
				if err := others.until(ctx, r.token(items)); err != nil {
					return fmt.Errorf("a client of another binding: %w", err)
				}
			}
			if st := b.Status(); st.State != status.Stale || r.token(shown) != before {
				return fmt.Errorf("the binding is %v and its version has moved: %t", st.State, r.token(shown) != before)
			}
			late, err := r.follow(ctx, shown)
			if err != nil {
				return fmt.Errorf("a client that comes meanwhile: %w", err)
			}
			if err := r.put(ctx, item{ID: 2, Name: "mended"}); err != nil {
				return err
			}
			if err := eventually(ctx, "the binding shows the mended row", func() bool { return r.token(shown) != before }); err != nil {
				return err
			}
			return errors.Join(troubled.until(ctx, r.token(shown)), late.until(ctx, r.token(shown)), others.until(ctx, r.token(items)))
		},
	},
}
