package session

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/transports/internal/problem"
)

// Channel is one client on a session, and the bindings that it has joined.
type Channel struct {
	session *Session
	ctx     context.Context // identifies the client to the authorizer
	enc     *wire.Encoder

	// Guarded by the session's mu.
	closed bool
	joins  map[string]*join // by View.ID
}

// Open opens the channel on the session. The context identifies the client to the
// authorizer. It must end no later than the session or the channel.
func (c *Channel) Open(ctx context.Context, s *Session, enc *wire.Encoder) {
	c.session, c.ctx, c.enc = s, core.WithClient(ctx), enc
	c.joins = make(map[string]*join)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.channels = append(s.channels, c)
}

// Close ends all joins of the channel. After it only answers that are already queued
// are sent.
func (c *Channel) Close() {
	s := c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	c.closeLocked()
	for i, other := range s.channels {
		if other == c {
			s.channels = append(s.channels[:i:i], s.channels[i+1:]...)
			break
		}
	}
}

func (c *Channel) closeLocked() {
	c.closed = true
	for _, j := range c.joins {
		c.session.leaveLocked(j)
	}
}

// Handle carries out a request. If p, the problem found by decoding, is not nil, it
// refuses the request instead. Errors go to the client as messages. done may be nil;
// otherwise it gets the outcome, nil for success, and returns a further answer. It is
// called with the session's lock held.
//
// Handle may wait for the authorizer and for a member's rows. Call [Session.AwaitRoom]
// first.
func (c *Channel) Handle(r Request, p *problem.Problem, done func(*problem.Problem) []byte) {
	s := c.session
	var g *core.Grant
	var shown *live.Snapshot
	if p == nil && !r.disconnect && r.mark == nil {
		// Without the lock, because the authorizer may take its time.
		if r.page > 0 {
			g, shown, p = c.look(r.event, core.JSONArgs(r.params))
		} else {
			g, p = c.open(r.event, core.JSONArgs(r.params))
		}
	}
	s.mu.Lock()
	switch {
	case s.ended || s.stopping || c.closed:
		if g != nil {
			g.Close()
		}
		done = nil // nothing was done, and nobody is told
	case p != nil:
		c.refuseLocked(r, p)
	default:
		if p = c.actLocked(r, g, shown); p != nil {
			c.tellLocked(r, p)
		}
	}
	if done != nil {
		s.replyLocked(done(p))
	}
	s.mu.Unlock()
	s.pump()
}

// Tell sends the client an error about the event. done is as in Handle.
func (c *Channel) Tell(event string, p *problem.Problem, done func(*problem.Problem) []byte) {
	c.Handle(Request{event: event}, p, done)
}

func (c *Channel) errorLocked(subject wire.Subject, p *problem.Problem) {
	c.sendLocked(subject, wire.ErrorMessage(subject, p.JSON()))
}

// tellLocked tells the client why its request was refused.
func (c *Channel) tellLocked(r Request, p *problem.Problem) {
	if r.mark == nil {
		c.errorLocked(r.subject(), p)
		return
	}
	c.sendLocked(r.subject(), wire.MarkErrorMessage(r.subject(), *r.mark, p.JSON()))
}

// sendLocked frames an answer and queues it.
func (c *Channel) sendLocked(subject wire.Subject, m wire.Message) {
	c.session.replyLocked(c.enc.Frame(subject, m).JSON)
}

// look opens the binding and returns its rows, nil while they have not loaded. Rows that
// were published while the grant was valid may be shown even if rights change afterwards.
func (c *Channel) look(event string, args core.Args) (*core.Grant, *live.Snapshot, *problem.Problem) {
	for range 1 + maxReopenings {
		g, p := c.open(event, args)
		if p != nil {
			return nil, nil, p
		}
		c.awaitRows(g)
		if shown, err := g.Snapshot(); err == nil {
			return g, shown, nil
		}
		g.Close() // meanwhile the client's rows have changed
	}
	return nil, nil, problem.Unavailable("what may be seen here is changing")
}

// maxReopenings bounds how often a look begins again because the client's scope has
// changed while it waited.
const maxReopenings = 3

// open opens the binding, or the member that the arguments name, for the client.
func (c *Channel) open(event string, args core.Args) (*core.Grant, *problem.Problem) {
	h := c.session.hub
	g, err := h.reg.Open(c.ctx, event, args)
	if err != nil {
		p, told := problem.Of(clip(event), err)
		if !told && c.ctx.Err() == nil {
			h.reg.Logger().Error(h.transport+": asking the authorizer about a binding failed", slog.String("id", "session-authorizer-failed"),
				slog.String("binding", clip(event)), slog.Any("err", err))
		}
		return nil, p
	}
	return g, nil
}

// awaitRows waits for a moment for the rows of a member that may have been created just
// now.
func (c *Channel) awaitRows(g *core.Grant) {
	wait := c.session.hub.limits.LoadWait
	v := g.View()
	if !g.Member() || v.Snapshot() != nil || wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-v.Loaded():
	case <-v.Done():
	case <-timer.C:
	case <-c.ctx.Done():
	}
}

// refuseLocked answers a request that is refused. A client that may not read a binding
// any more loses its join.
func (c *Channel) refuseLocked(r Request, p *problem.Problem) {
	if p.Status == http.StatusForbidden || p.Status == http.StatusUnauthorized {
		if j := c.joinOfLocked(r); j != nil {
			c.session.leaveLocked(j)
		}
	}
	c.errorLocked(r.subject(), p)
}

// joinOfLocked returns the join that the request is about, or nil.
func (c *Channel) joinOfLocked(r Request) *join {
	id, err := c.session.hub.reg.MemberID(r.event, core.JSONArgs(r.params))
	if err != nil {
		id = r.event // removed meanwhile, or never there
	}
	return c.joins[id]
}

// actLocked carries out a request. It takes over the grant, which is nil for a leave.
// shown is the snapshot for a look at a page.
func (c *Channel) actLocked(r Request, g *core.Grant, shown *live.Snapshot) *problem.Problem {
	switch {
	case r.disconnect:
		if j := c.joinOfLocked(r); j != nil {
			c.session.leaveLocked(j)
		}
		c.sendLocked(r.subject(), wire.LeaveMessage(r.subject()))
		return nil
	case r.mark != nil:
		return c.markLocked(r)
	case r.page > 0:
		defer g.Close()
		if shown == nil {
			return problem.NotLoaded(r.event)
		}
		c.session.replyLocked(c.enc.PageOf(g.View(), shown, r.page).JSON)
		return nil
	default:
		return c.joinLocked(r, g)
	}
}

// clip keeps long names out of explanations.
func clip(name string) string {
	const longest = 100
	if len(name) > longest {
		return name[:longest] + "…"
	}
	return name
}
