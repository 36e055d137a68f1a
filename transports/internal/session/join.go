package session

import (
	"errors"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/transports/internal/meter"
	"github.com/binderyhq/bindery/transports/internal/problem"
)

// join is a binding, or a family's member, that a channel has joined. The session's mu
// guards its fields, except where their comments say otherwise.
type join struct {
	channel *Channel
	grant   *core.Grant
	sub     *live.Subscription // nil while the authorizer is asked again
	left    bool

	batch  *wire.Batch    // under way, nil when there is none
	at     int            // of the next message in the batch
	due    meter.Delivery // of the batch
	begun  bool           // the subscription has returned an event
	leads  live.Version   // the version that the batch leads to
	stands live.Version   // the last version sent in full; the zero value: none
	marks  []*markRequest // not answered yet
	again  *afresh        // begin anew after the batch; nil: do not

	// Guarded by turns.mu.
	queued bool
	next   *join
}

// afresh holds the grant and token with which a join begins anew.
type afresh struct {
	grant *core.Grant
	token string
}

// joinLocked joins the grant's binding, or starts the join afresh if there is one. It
// takes over the grant.
func (c *Channel) joinLocked(r Request, g *core.Grant) *problem.Problem {
	s := c.session
	token := wire.ParseToken(r.version)
	id := g.View().ID()
	if j := c.joins[id]; j != nil {
		if j.sub != nil && j.grant.View() == g.View() {
			if j.again != nil {
				j.again.grant.Close()
			}
			j.again = &afresh{g, token}
			s.turns.add(j)
			return nil
		}
		s.leaveLocked(j) // a removed binding of that name, or another scope
	}
	if s.joined >= s.hub.limits.Joins {
		g.Close()
		return problem.TooMany("the connection has joined as many bindings as it may")
	}
	j := &join{channel: c, grant: g}
	c.joins[id] = j
	s.joined++
	s.subscribeLocked(j, token)
	return nil
}

func (s *Session) subscribeLocked(j *join, token string) {
	j.begun = false // no mark is answered before the new subscription returns an event
	j.sub = s.hub.meter.Subscribe(j.channel.ctx, j.grant, live.SubscribeOptions{Version: token, Notify: func() {
		if s.turns.addAndWake(j) {
			s.hub.wakeup.add(s)
		}
	}})
	s.turns.add(j)
}

// startAfreshLocked begins the join anew. The client holds the version that it named
// only if no message was on its way to it.
func (s *Session) startAfreshLocked(j *join) {
	again := j.again
	j.again = nil
	if again.token != j.stands.Token {
		again.token = ""
	}
	j.sub.Close()
	j.grant.Close()
	j.grant = again.grant
	s.subscribeLocked(j, again.token)
}

// leaveLocked ends the join.
func (s *Session) leaveLocked(j *join) {
	if j.left {
		return
	}
	j.left, j.batch = true, nil
	s.marking -= len(j.marks)
	j.marks = nil
	if j.again != nil {
		j.again.grant.Close()
		j.again = nil
	}
	if j.sub != nil {
		j.sub.Close()
	}
	j.grant.Close()
	delete(j.channel.joins, j.grant.View().ID())
	s.joined--
}

// endedLocked handles the end of the join's subscription. Either it tells the client, or
// the join goes on with the rows that the client may see from now on.
func (s *Session) endedLocked(j *join, why error) {
	if errors.Is(why, live.ErrScopeChanged) {
		j.sub.Close()
		j.grant.Close()
		j.sub = nil
		s.reopening.Go(func() { s.reopen(j) })
		return
	}
	p, _ := problem.Of(j.grant.View().Name(), why)
	s.leaveLocked(j)
	j.channel.errorLocked(wire.SubjectOf(j.grant.View()), p)
}

// reopen asks the authorizer again what the client may see, which may take long, and
// starts the join afresh with the new grant.
func (s *Session) reopen(j *join) {
	// From the view, because the client's own request may be long and would have to be
	// kept.
	v := j.grant.View()
	g, p := j.channel.open(v.Name(), core.ParamArgs(v.Params()))
	s.mu.Lock()
	switch {
	case j.left || s.ended:
		if g != nil {
			g.Close()
		}
	case p != nil:
		s.leaveLocked(j)
		j.channel.errorLocked(wire.SubjectOf(j.grant.View()), p)
	default:
		j.grant = g
		j.stands = live.Version{}
		s.subscribeLocked(j, "")
		s.remarkLocked(j)
	}
	s.mu.Unlock()
	s.pump()
}

// revoked reports whether the client may not see the rest of what is being sent.
func (j *join) revoked() bool {
	err := j.sub.Err()
	var denied *core.DeniedError
	return errors.As(err, &denied) || errors.Is(err, live.ErrScopeChanged)
}
