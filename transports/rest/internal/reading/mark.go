package reading

import (
	"log/slog"
	"strconv"
	"time"

	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/rest/internal/exchange"
	"github.com/binderyhq/bindery/transports/rest/internal/request"
)

// reach holds a request with a mark until the binding shows everything that the mark
// covers, and repeats the mark in the answer. It returns how much of the time that the
// client is willing to wait remains for a change.
func (r *Reader) reach(x *exchange.Exchange) (left time.Duration, p *problem.Problem) {
	left, preferred := request.PreferredWait(x.R.Header["Prefer"])
	mark, given := request.Mark(x.R.Header, x.Params)
	if !given {
		return left, nil
	}
	reached, err := x.Grant.HasReached(mark)
	if err != nil {
		p, _ = problem.OfMark(x.View.Name(), err)
		return 0, p
	}
	if !reached {
		wait := r.MarkWait
		if preferred {
			wait = left
			r.preferenceApplied(x, wait)
		}
		begun := time.Now()
		if p := r.holdForMark(x, mark, wait); p != nil {
			return 0, p
		}
		left = max(0, left-time.Since(begun))
	}
	x.W.Header()[request.HeaderMark] = []string{mark}
	return left, nil
}

// holdForMark waits for a mark, within the bounds of all requests that are held.
func (r *Reader) holdForMark(x *exchange.Exchange, mark string, wait time.Duration) *problem.Problem {
	ctx, release, ok := r.hold(x, wait)
	if !ok {
		return problem.NotReached()
	}
	defer release()
	err := x.Grant.Reach(ctx, mark)
	switch {
	case err == nil:
		return nil
	case r.Stopping.Err() != nil:
		return problem.ShuttingDown()
	}
	p, told := problem.OfMark(x.View.Name(), err)
	if !told {
		r.Registry.Logger().Error("rest: waiting for a mark failed", slog.String("id", "rest-mark-failed"), "binding", x.View.Name(), "err", err)
	}
	return p
}

// preferenceApplied says in the answer how long the request can be held.
func (r *Reader) preferenceApplied(x *exchange.Exchange, asked time.Duration) {
	seconds := (r.Held.Bound(asked) + time.Second - 1) / time.Second
	x.W.Header()["Preference-Applied"] = []string{"wait=" + strconv.FormatInt(int64(seconds), 10)}
}
