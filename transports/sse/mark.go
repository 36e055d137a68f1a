package sse

import (
	"context"
	"log/slog"
	"time"

	"github.com/binderyhq/bindery/transports/internal/problem"
)

// headerMark bears a mark, in both directions.
const headerMark = "Bindery-Mark"

// markWait bounds how long a stream, or the answer to HEAD, is held for a mark.
const markWait = 5 * time.Second

// reach holds the request until all its bindings show everything that the mark covers:
// what the stream begins with, and what HEAD answers for, is at least that. Then the
// answer bears the mark.
func (s *stream) reach(ctx context.Context, mark string) *problem.Problem {
	if mark == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, markWait)
	defer cancel()
	for _, f := range s.feeds {
		if err := f.grant.Reach(ctx, mark); err != nil {
			p, told := problem.OfMark(f.to.binding, err)
			if !told {
				s.t.reg.Logger().Error("sse: waiting for a mark failed", slog.String("id", "sse-mark-failed"),
					slog.String("binding", f.to.binding), slog.Any("err", err))
			}
			return p
		}
	}
	s.out.Header().Set(headerMark, mark)
	return nil
}
