package core

import (
	"context"

	"github.com/binderyhq/bindery/core/internal/audit"
)

// receipt waits for one or several feeds to catch up.
type receipt []mark

// mark is a point in the reports of one feed, or a comparison of its table.
type mark struct {
	feed   *feed
	seq    uint64
	ticket *audit.Ticket // nil: a point in the reports
}

func (m mark) wait(ctx context.Context) error {
	if m.ticket != nil {
		return m.ticket.Wait(ctx)
	}
	return m.feed.wait(ctx, m.seq)
}

// Wait implements [driver.Receipt].
func (r receipt) Wait(ctx context.Context) error {
	for _, m := range r {
		if err := m.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}
