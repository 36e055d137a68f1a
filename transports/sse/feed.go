package sse

import (
	"context"
	"errors"
	"log/slog"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/transports/internal/problem"
)

// feed is one binding on a stream.
type feed struct {
	to    target
	grant *core.Grant
	sub   *live.Subscription // nil when the binding has ended for this client
	token string             // of the last version that was sent in full
	begun bool               // the subscription has returned an event
	state status.State       // the state that a follower was told last
}

// open opens the target for the client and adds it to the stream.
func (s *stream) open(ctx context.Context, to target) *problem.Problem {
	g, p := s.ask(ctx, to)
	if p != nil {
		return p
	}
	for _, f := range s.feeds {
		if f.grant.View().ID() == g.View().ID() {
			g.Close()
			return problem.BadParameter(paramEvent, "names a binding twice")
		}
	}
	s.feeds = append(s.feeds, &feed{to: to, grant: g, state: status.Live})
	return nil
}

// ask opens the target's binding for the client. It logs errors that the client must
// not see.
func (s *stream) ask(ctx context.Context, to target) (*core.Grant, *problem.Problem) {
	g, err := s.t.reg.Open(ctx, to.binding, to.args)
	if err == nil {
		if s.enc == s.t.replicas && !s.t.cfg.HiddenOrder && !wire.ShowsOrderKeys(g.View()) {
			g.Close()
			return nil, problem.Forbidden("the rows do not show by what they are ordered, so the binding cannot be followed by other nodes")
		}
		return g, nil
	}
	p, told := problem.Of(to.binding, err)
	if !told && ctx.Err() == nil {
		s.t.reg.Logger().Error("sse: leave to follow a binding could not be asked for", slog.String("id", "sse-authorizer-failed"),
			slog.String("binding", to.binding), slog.Any("err", err))
	}
	return nil, p
}

// subscribe begins the subscriptions, each at its own token.
func (s *stream) subscribe(ctx context.Context, tokens []string) {
	for i, f := range s.feeds {
		f.token = tokens[i]
		f.subscribe(ctx, s)
	}
}

func (f *feed) subscribe(ctx context.Context, s *stream) {
	f.begun = false
	f.sub = s.t.meter.Subscribe(ctx, f.grant, live.SubscribeOptions{Version: f.token, Notify: s.notify})
}

// close releases the stream's subscriptions and grants. It is called once, at the end.
func (s *stream) close() {
	for _, f := range s.feeds {
		f.end()
	}
}

func (f *feed) end() {
	if f.sub != nil {
		f.sub.Close()
		f.sub = nil
	}
	f.token = ""
	f.grant.Close()
}

// ended handles the end of a subscription. Either it tells the client, or the feed goes
// on with the rows that the client may see from now on, beginning with a sync.
func (s *stream) ended(ctx context.Context, f *feed, why error) error {
	subject := wire.SubjectOf(f.grant.View())
	f.end()
	var p *problem.Problem
	if errors.Is(why, live.ErrScopeChanged) {
		var g *core.Grant
		if g, p = s.ask(ctx, f.to); p == nil {
			f.grant = g
			f.subscribe(ctx, s)
			s.notify()
			return nil
		}
	} else {
		p, _ = problem.Of(f.to.binding, why)
	}
	return s.send(wire.ErrorMessage(subject, p.JSON()), s.id())
}

// revoked reports whether the client may not see the rest of what is being sent.
func (f *feed) revoked() bool {
	err := f.sub.Err()
	var denied *core.DeniedError
	return errors.As(err, &denied) || errors.Is(err, live.ErrScopeChanged)
}

// allEnded reports whether every binding of the stream has ended.
func (s *stream) allEnded() bool {
	for _, f := range s.feeds {
		if f.sub != nil {
			return false
		}
	}
	return true
}
