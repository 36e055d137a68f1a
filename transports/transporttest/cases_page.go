package transporttest

import (
	"context"
	"errors"
	"fmt"
)

var pageCases = []rule{
	{
		name:  "pages",
		rule:  "the pages of a version, one after the other, are its rows in the binding's order; beyond them there is nothing",
		setup: setup{rows: 250},
		run: func(ctx context.Context, r *rig) error {
			if !r.can.Pages {
				if _, err := r.Page(ctx, visible, 1); !errors.Is(err, ErrUnsupported) {
					return fmt.Errorf("asking for a page: %v; Abilities.Pages is not declared, so it is to be ErrUnsupported", err)
				}
				return nil
			}
			var got []string
			for page, pages := 1, 1; page <= pages; page++ {
				p, err := r.Page(ctx, visible, page)
				if err != nil {
					return fmt.Errorf("page %d: %w", page, err)
				}
				if len(p.Rows) == 0 || len(p.Rows) > 100 {
					return fmt.Errorf("page %d of %d has %d rows", page, p.Pages, len(p.Rows))
				}
				pages = p.Pages
				for _, raw := range p.Rows {
					_, text, err := decode(raw)
					if err != nil {
						return err
					}
					got = append(got, text)
				}
				if page > r.view(visible).Len() {
					return fmt.Errorf("page %d, for %d rows", page, r.view(visible).Len())
				}
			}
			i := 0
			for row := range r.view(visible).Snapshot().Rows() {
				_, want, err := decode(row.JSON())
				if err != nil {
					return err
				}
				if i >= len(got) || !sameJSON(got[i], want) {
					return fmt.Errorf("the pages have %d rows; row %d of the binding is not at its place", len(got), i)
				}
				i++
			}
			if i != len(got) {
				return fmt.Errorf("the pages have %d rows, the binding has %d", len(got), i)
			}
			beyond, err := r.Page(ctx, visible, 1000)
			if err != nil || len(beyond.Rows) > 0 {
				return fmt.Errorf("beyond the last page: %d rows, %v", len(beyond.Rows), err)
			}
			if _, err := r.Page(ctx, "nothing", 1); !errors.Is(err, ErrRefused) {
				return fmt.Errorf("a page of an unknown binding: %v, want ErrRefused", err)
			}
			return nil
		},
	},
}
