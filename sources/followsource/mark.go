package followsource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/client"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/wire"
)

// headerMark is the header for a mark, in requests and answers.
const headerMark = "Bindery-Mark"

// askAgainAfter is the pause before the follower asks an origin again that has not
// reached a mark.
const askAgainAfter = 50 * time.Millisecond

var _ core.MarkReplicator = (*loader[struct{}])(nil)

// errNotReached says that the origin has not reached a mark within the time.
var errNotReached = errors.New("the origin does not show yet what the mark covers")

// Reach implements [core.MarkReplicator]: it asks the origin's event streams by HEAD.
func (l *loader[T]) Reach(ctx context.Context, view *live.View, mark string) error {
	params := make(url.Values)
	for _, p := range view.Params() {
		params.Add(p.Name, p.Value.String())
	}
	cfg := l.origin.cfg.client(params)
	own := cfg.Header
	cfg.Header = func(ctx context.Context) (h http.Header, err error) {
		if own != nil {
			if h, err = own(ctx); err != nil {
				return nil, err
			}
		}
		if h = h.Clone(); h == nil {
			h = make(http.Header)
		}
		h.Set(headerMark, mark)
		return h, nil
	}
	for {
		header, err := client.Head(ctx, l.origin.events, l.Table.Name, cfg)
		var p *wire.Problem
		switch {
		case err == nil && header.Get(headerMark) == mark:
			return nil
		case err == nil, errors.As(err, &p) && p.Status == http.StatusBadRequest:
			// The origin knows no marks, or not this one.
			return fmt.Errorf("followsource: origin %q: %w", l.origin.name(), core.ErrForeignMark)
		case ctx.Err() != nil:
			return fmt.Errorf("followsource: origin %q: %w: %w", l.origin.name(), ctx.Err(), errNotReached)
		case errors.As(err, &p) && p.Status == http.StatusServiceUnavailable:
			// It has held the request for as long as it does, or has not loaded.
			timer := time.NewTimer(askAgainAfter)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
			}
		default:
			return fmt.Errorf("followsource: origin %q: %w", l.origin.name(), err)
		}
	}
}
