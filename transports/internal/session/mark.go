package session

import (
	"context"
	"log/slog"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/transports/internal/problem"
)

// markWait bounds how long a client waits for a mark.
const markWait = 5 * time.Second

// maxMarks bounds the marks that a session waits for.
const maxMarks = 64

// markRequest is a mark that a client has asked about. It is answered in its place in
// the stream of the join. The session's mu guards it.
type markRequest struct {
	subject wire.Subject // in the client's own words
	mark    string
	grant   *core.Grant // the grant that is asked
	reached bool
	seq     uint64 // of the first version known to include it, once reached
}

// markLocked answers the client once the stream of its join shows everything that the
// mark covers.
func (c *Channel) markLocked(r Request) *problem.Problem {
	s := c.session
	j := c.joinOfLocked(r)
	if j == nil {
		return problem.NotJoined()
	}
	reached, err := j.grant.HasReached(*r.mark)
	if err != nil {
		p, _ := problem.OfMark(r.event, err)
		return p
	}
	if s.marking >= maxMarks {
		return problem.TooMany("the connection waits for as many marks as it may")
	}
	m := &markRequest{subject: r.subject(), mark: *r.mark}
	j.marks = append(j.marks, m)
	s.marking++
	if m.grant = j.grant; reached {
		s.markReachedLocked(j, m)
		return nil
	}
	s.asking.Go(func() { s.awaitMark(j, m, m.grant) })
	return nil
}

// awaitMark waits until the binding has reached the mark.
func (s *Session) awaitMark(j *join, m *markRequest, grant *core.Grant) {
	ctx, cancel := context.WithTimeout(j.channel.ctx, markWait)
	defer cancel()
	err := grant.Reach(ctx, m.mark)
	s.mu.Lock()
	switch {
	case j.left, s.ended, m.grant != grant: // no longer wanted, or asked of another grant
	case err == nil:
		s.markReachedLocked(j, m)
	default:
		s.forgetLocked(j, m)
		p, told := problem.OfMark(grant.View().Name(), err)
		if !told {
			s.hub.reg.Logger().Error(s.hub.transport+": waiting for a mark failed", slog.String("id", "session-mark-failed"),
				slog.String("binding", grant.View().ID()), slog.Any("err", err))
		}
		j.channel.sendLocked(m.subject, wire.MarkErrorMessage(m.subject, m.mark, p.JSON()))
	}
	s.mu.Unlock()
	s.pump()
}

// markReachedLocked notes that the binding shows what the mark covers. The client gets
// the answer when the stream of the join has come that far.
func (s *Session) markReachedLocked(j *join, m *markRequest) {
	m.reached = true
	if snap := m.grant.View().Snapshot(); snap != nil {
		m.seq = snap.Version().Seq
	}
	s.turns.add(j)
}

// remarkLocked asks again about the marks of a join that has another grant now.
func (s *Session) remarkLocked(j *join) {
	for _, m := range j.marks {
		m.grant, m.reached = j.grant, false
		s.asking.Go(func() { s.awaitMark(j, m, m.grant) })
	}
}

// markedLocked returns the answer to a mark that the stream of the join has reached, or
// nil. current says that the stream has no more to send; markedLocked then checks that
// it shows the binding's newest version.
func (s *Session) markedLocked(j *join, current bool) []byte {
	if len(j.marks) == 0 || !j.begun || j.stands.Token == "" {
		return nil
	}
	if current {
		snap := j.grant.View().Snapshot()
		current = snap != nil && snap.Version().Token == j.stands.Token
	}
	for _, m := range j.marks {
		if m.reached && (current || m.seq > 0 && m.seq <= j.stands.Seq) {
			s.forgetLocked(j, m)
			s.turns.add(j) // there may be more
			return j.channel.enc.Frame(m.subject, wire.MarkMessage(m.subject, m.mark, j.stands)).JSON
		}
	}
	return nil
}

// forgetLocked drops a mark that is answered.
func (s *Session) forgetLocked(j *join, m *markRequest) {
	for i, other := range j.marks {
		if other == m {
			j.marks = append(j.marks[:i:i], j.marks[i+1:]...)
			s.marking--
			return
		}
	}
}
