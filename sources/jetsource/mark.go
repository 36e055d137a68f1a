package jetsource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/wire"
)

var _ core.MarkAwaiter = (*loader[struct{}])(nil)

// askAgainAfter is the pause before a publisher is asked again that has not answered, or
// has not reached the mark.
const askAgainAfter = 50 * time.Millisecond

// askWait is how long an answer may take. A publisher holds a question for a second; one
// that takes longer was lost.
const askWait = 2 * time.Second

// AwaitMark implements [core.MarkAwaiter]. It asks the publisher up to where the stream has
// everything that the mark covers, and waits until the view has come to that.
func (l *loader[T]) AwaitMark(ctx context.Context, view *live.View, mark string) error {
	subject := wire.SubjectsOf(l.origin.cfg.Prefix, view.ID()).Mark
	for {
		answer, err := l.origin.ask(ctx, subject, mark)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("jetsource: asking about a mark: %w", ctx.Err())
		case err != nil, answer.Problem == wire.MarkLate:
		case answer.Problem != "":
			return fmt.Errorf("jetsource: %w", core.ErrForeignMark)
		default:
			want := position{answer.Seq, answer.Lineage}
			at, err := l.positions.await(ctx, view, want)
			if err != nil {
				return fmt.Errorf("jetsource: waiting for a position in the stream: %w", err)
			}
			if at.lineage == want.lineage {
				return nil
			}
			// Another publisher has taken over, whose rows may be older.
		}
		timer := time.NewTimer(askAgainAfter)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// ask asks the publisher once. It fails at once while nobody publishes.
func (o *Origin) ask(ctx context.Context, subject, mark string) (answer wire.MarkAnswer, err error) {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	m, err := o.conn.RequestWithContext(ctx, subject, []byte(mark))
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return answer, err
	}
	if answer.Problem == "" && answer.Lineage == "" {
		return answer, errors.New("jetsource: the answer about a mark says nothing")
	}
	return answer, nil
}
