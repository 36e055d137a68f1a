package rest

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/internal/problem"
)

// wait holds a request until what it reads is no longer what the client has:
// at most for the time that the client asked for, and never beyond the end of
// the request, of the binding, of the transport or of the HTTP server. It starts
// from the snapshot that the client turned out to have.
//
// The authorizer may change its mind meanwhile. Then the client is refused, or
// the error is errScopeChanged, and the caller begins the request anew.
func (t *Transport) wait(x exchange, asked time.Duration, s *live.Snapshot, from pick) (selection, verdict, *problem.Problem, error) {
	look := func(s *live.Snapshot) (selection, verdict, *problem.Problem, error) {
		now := t.reg.Now()
		sel, p := from(s, now)
		if p != nil {
			return sel, verdict{}, p, nil
		}
		return sel, judge(x.r.Header, sel.content, sel.date, now, t.compressible(x, sel.content)), nil, nil
	}
	ctx, release, ok := t.hold(x, asked)
	if !ok {
		return look(s)
	}
	defer release()
	t.preferenceApplied(x.w.Header(), asked)
	sub := x.grant.Subscribe(ctx, live.SubscribeOptions{Version: s.Version().Token})
	defer sub.Close()
	for {
		// Whatever the event is, the newest snapshot decides; an error says
		// that the time is over, or the client's leave to read.
		_, over := sub.Next(ctx)
		var denied *core.DeniedError
		switch {
		case errors.Is(over, live.ErrScopeChanged):
			return selection{}, verdict{}, nil, errScopeChanged
		case errors.Is(over, live.ErrRemoved), errors.As(over, &denied):
			return selection{}, verdict{}, t.refusalOf(x, x.view.Name(), over), nil
		}
		newest, err := x.grant.Snapshot()
		if err != nil {
			return selection{}, verdict{}, nil, errScopeChanged
		}
		sel, v, p, _ := look(newest)
		if over != nil || p != nil || !v.held {
			return sel, v, p, nil
		}
	}
}

// hold lets a request wait for at most that time: the context ends with it, with
// the request, with the transport or with the HTTP server. It is false when the
// request may not wait; else release is called when it does not any more.
func (t *Transport) hold(x exchange, asked time.Duration) (ctx context.Context, release func(), ok bool) {
	wait := min(asked, t.cfg.MaxWait)
	if wait <= 0 || !t.holds.begin() {
		return nil, nil, false
	}
	extendWriteDeadline(x, wait)
	ctx, cancel := context.WithTimeout(x.r.Context(), wait)
	held := &heldRequest{cancel}
	_ = t.held.Enter(held) // it is never full, and never closed
	stopping := context.AfterFunc(t.stopping, cancel)
	ending := context.AfterFunc(t.servers.Of(x.r), cancel)
	return ctx, func() {
		ending()
		stopping()
		cancel()
		t.held.Leave(held)
		t.holds.end()
	}, true
}

// heldRequest is a request that waits for a change, until end is called at the latest.
type heldRequest struct{ end context.CancelFunc }

// errScopeChanged says that the client may see something else from now on.
var errScopeChanged = errors.New("rest: the client's scope has changed")

// extendWriteDeadline makes a server's WriteTimeout count from the end of the
// waiting. Where the connection does not support that, the server cuts it when its
// own timeout is over.
func extendWriteDeadline(x exchange, wait time.Duration) {
	server, ok := x.r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok || server.WriteTimeout <= 0 {
		return
	}
	_ = http.NewResponseController(x.w).SetWriteDeadline(time.Now().Add(wait + server.WriteTimeout))
}
