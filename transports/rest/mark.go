package rest

import (
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/binderyhq/bindery/transports/internal/problem"
)

// The header that bears marks, in both directions, as net/http spells it, and the
// parameter that may stand in its place.
const (
	headerMark = "Bindery-Mark"
	paramMark  = "mark"
)

// DefaultMarkWait is how long a request is held for a mark that the binding has not
// reached, unless it says otherwise (Prefer: wait).
const DefaultMarkWait = 5 * time.Second

// markOf returns the mark that a request bears, and whether it does. The header
// counts where both are given.
func markOf(x exchange) (mark string, given bool) {
	if lines := x.r.Header[headerMark]; len(lines) > 0 {
		if len(lines) > 1 {
			return "", true // no mark
		}
		return lines[0], true
	}
	mark, given = x.params[paramMark]
	return mark, given
}

// reach holds a request that bears a mark until the binding shows everything that
// the mark covers. Then the answer, whatever it is, bears the mark too. Of the time
// that the client is willing to wait, left remains for a change.
func (t *Transport) reach(x exchange) (left time.Duration, p *problem.Problem) {
	left, preferred := preferredWait(x.r.Header["Prefer"])
	mark, given := markOf(x)
	if !given {
		return left, nil
	}
	reached, err := x.grant.HasReached(mark)
	if err != nil {
		p, _ = problem.OfMark(x.view.Name(), err)
		return 0, p
	}
	if !reached {
		wait := DefaultMarkWait
		if preferred {
			wait = left
			t.preferenceApplied(x.w.Header(), wait)
		}
		begun := time.Now()
		if p := t.holdForMark(x, mark, wait); p != nil {
			return 0, p
		}
		left = max(0, left-time.Since(begun))
	}
	x.w.Header()[headerMark] = []string{mark}
	return left, nil
}

// holdForMark waits for a mark, within the bounds of all requests that wait.
func (t *Transport) holdForMark(x exchange, mark string, wait time.Duration) *problem.Problem {
	ctx, release, ok := t.hold(x, wait)
	if !ok {
		return problem.NotReached()
	}
	defer release()
	err := x.grant.Reach(ctx, mark)
	switch {
	case err == nil:
		return nil
	case t.stopping.Err() != nil:
		return problem.ShuttingDown()
	}
	p, told := problem.OfMark(x.view.Name(), err)
	if !told {
		t.reg.Logger().Error("rest: a mark could not be waited for", slog.String("id", "rest-mark-failed"), "binding", x.view.Name(), "err", err)
	}
	return p
}

// setMark has the answer to a write bear a mark that covers the write.
func (t *Transport) setMark(x exchange) {
	// The client may have gone; then nobody needs it.
	if mark, err := t.reg.Mark(x.r.Context()); err == nil {
		x.w.Header()[headerMark] = []string{mark}
	}
}

// Whether a stored answer may be given to a request depends on the mark that this
// bears, where caches may give stored answers without asking.
var varyMark = []string{"Accept-Encoding, " + headerMark}

// vary returns the value of Vary for what reads answer.
func (t *Transport) vary() []string {
	if t.cfg.SharedMaxAge > 0 || len(t.cfg.CacheControl) > 0 {
		return varyMark
	}
	return varyEncoding
}

// preferenceApplied says how long the request was, or would have been, held.
func (t *Transport) preferenceApplied(h http.Header, asked time.Duration) {
	h["Preference-Applied"] = []string{"wait=" + strconv.FormatInt(int64((min(asked, t.cfg.MaxWait)+time.Second-1)/time.Second), 10)}
}
