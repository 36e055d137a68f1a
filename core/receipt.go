package core

import "context"

// receipt waits for one or several feeds to catch up.
type receipt []mark

// mark is a point in the reports of one feed.
type mark struct {
	feed *feed
	seq  uint64
}

// Wait implements [driver.Receipt].
func (r receipt) Wait(ctx context.Context) error {
	for _, m := range r {
		if err := m.feed.wait(ctx, m.seq); err != nil {
			return err
		}
	}
	return nil
}
