package sse

import (
	"context"
	"log/slog"
	"time"

	"github.com/binderyhq/bindery/transports/internal/problem"
)

// headerMark is the header for a mark, in requests and in answers.
const headerMark = "Bindery-Mark"

// markWait bounds how long a stream, or the answer to HEAD, waits for a mark.
const markWait = 5 * time.Second

// reach waits until all bindings of the request show everything that the mark covers.
// The stream, or the answer to HEAD, then begins no earlier than that. The answer
// carries the mark. The header counts where the URL has one as well.
func (s *stream) reach(ctx context.Context, header, parameter []string) *problem.Problem {
	if len(header) == 0 {
		header = parameter
	}
	if len(header) == 0 {
		return nil
	}
	mark := ""            // malformed
	if len(header) == 1 { // as is one that is given twice
		mark = header[0]
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
