package reading

import (
	"context"
	"errors"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/rest/internal/access"
	"github.com/binderyhq/bindery/transports/rest/internal/exchange"
	"github.com/binderyhq/bindery/transports/rest/internal/precondition"
)

// wait holds a request, whose client has its selection from s, until a snapshot has
// another selection. It holds the request at most for the time that the client asks
// for, and until the request, the binding, the transport or the HTTP server ends.
//
// If the authorizer changes its mind meanwhile, the client is refused, or the error is
// ErrScopeChanged.
func (r *Reader) wait(x *exchange.Exchange, asked time.Duration, s *live.Snapshot, from choose) (selection, precondition.Verdict, *problem.Problem, error) {
	ctx, release, ok := r.hold(x, asked)
	if !ok {
		sel, v, p := r.judge(x, s, from)
		return sel, v, p, nil
	}
	defer release()
	r.preferenceApplied(x, asked)
	sub := x.Grant.Subscribe(ctx, live.SubscribeOptions{Version: s.Version().Token})
	defer sub.Close()
	for {
		// The event only says that there is a newer snapshot, which decides. An error
		// says that the time is over, or the client's leave to read.
		_, over := sub.Next(ctx)
		var denied *core.DeniedError
		switch {
		case errors.Is(over, live.ErrScopeChanged):
			return selection{}, precondition.Verdict{}, nil, access.ErrScopeChanged
		case errors.Is(over, live.ErrRemoved), errors.As(over, &denied):
			return selection{}, precondition.Verdict{}, r.Refusal(x, x.View.Name(), over), nil
		}
		newest, err := x.Grant.Snapshot()
		if err != nil {
			return selection{}, precondition.Verdict{}, nil, access.ErrScopeChanged
		}
		sel, v, p := r.judge(x, newest, from)
		if over != nil || p != nil || !v.Held {
			return sel, v, p, nil
		}
	}
}

// hold lets a request wait, see [hold.Requests.Hold]. It counts as a connection.
func (r *Reader) hold(x *exchange.Exchange, asked time.Duration) (ctx context.Context, release func(), ok bool) {
	ctx, end, ok := r.Held.Hold(x.W, x.R, r.Stopping, asked)
	if !ok {
		return nil, nil, false
	}
	closed := r.Registry.Connected()
	return ctx, func() {
		end()
		closed()
	}, true
}
