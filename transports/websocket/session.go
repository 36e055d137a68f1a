package websocket

import (
	"errors"
	"sync"

	"github.com/olahol/melody"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/internal/wire"
)

// The bounds of the answers that wait to be sent. A request is read when both
// leave room; its answer may then go over the bytes.
const (
	maxReplies    = 64
	maxReplyBytes = 256 << 10
)

// session is one connection. Requests come on its reading goroutine, one after
// the other. Messages go out one at a time: whoever has news, or has just
// written one, calls pump, which hands the next to the writing goroutine.
type session struct {
	t     *Transport
	turns turns
	next  *session // guarded by wakeup.mu

	mu       sync.Mutex      // guards what follows; not held while writing
	ws       *melody.Session // nil during the handshake
	joins    map[string]*join
	replies  [][]byte
	replyLen int        // bytes of replies
	room     *sync.Cond // of mu: replies have room, or the session has ended
	inFlight bool       // a message is with the writing goroutine
	stopping bool       // complete what is under way and close
	ended    bool       // nothing is sent any more
}

func newSession(t *Transport) *session {
	s := &session{t: t, joins: make(map[string]*join)}
	s.room = sync.NewCond(&s.mu)
	return s
}

// handle acts on a request. It runs on the reading goroutine, so it may wait:
// the client's requests then stay in the network.
func (s *session) handle(msg []byte) {
	s.mu.Lock()
	if s.fullLocked() {
		s.t.held.Add(1)
		for s.fullLocked() {
			s.room.Wait()
		}
	}
	if !s.ended && !s.stopping {
		r, p := decodeRequest(msg)
		if p == nil {
			p = s.actLocked(r)
		}
		if p != nil {
			s.replyLocked(wire.ErrorMessage(r.event, p))
		}
	}
	s.mu.Unlock()
	s.pump()
}

func (s *session) fullLocked() bool {
	return !s.ended && (len(s.replies) >= maxReplies || s.replyLen >= maxReplyBytes)
}

func (s *session) replyLocked(m wire.Message) {
	s.replies = append(s.replies, m.JSON)
	s.replyLen += len(m.JSON)
}

func (s *session) actLocked(r request) *problem.Problem {
	if r.disconnect {
		if j := s.joins[r.event]; j != nil {
			s.leaveLocked(j)
		}
		s.replyLocked(wire.LeaveMessage(r.event))
		return nil
	}
	v, ok := s.t.reg.Lookup(r.event)
	if !ok {
		return problem.UnknownBinding(clip(r.event))
	}
	for name := range r.params {
		return problem.BadParameter(clip(name), "the binding has no parameters")
	}
	if r.page > 0 {
		m, err := s.t.enc.Page(v, r.page)
		if err != nil {
			return problem.NotLoaded(r.event)
		}
		s.replyLocked(m)
		return nil
	}
	return s.joinLocked(v, wire.ParseToken(r.version))
}

// clip keeps long names out of explanations.
func clip(name string) string {
	const longest = 100
	if len(name) > longest {
		return name[:longest] + "…"
	}
	return name
}

func (s *session) joinLocked(v *core.View, token string) *problem.Problem {
	if j := s.joins[v.Name()]; j != nil {
		if j.view == v {
			j.again = &token
			s.turns.add(j)
			return nil
		}
		s.leaveLocked(j) // a binding of that name that was removed
	}
	if len(s.joins) >= s.t.cfg.MaxJoins {
		return problem.TooMany("the connection has joined as many bindings as it may")
	}
	j := &join{view: v}
	s.joins[v.Name()] = j
	s.subscribeLocked(j, token)
	return nil
}

func (s *session) subscribeLocked(j *join, token string) {
	j.sub = j.view.Subscribe(core.SubscribeOptions{Version: token, Notify: func() {
		if s.turns.addAndWake(j) {
			s.t.wakeup.add(s)
		}
	}})
	s.turns.add(j)
}

func (s *session) leaveLocked(j *join) {
	j.left, j.batch = true, nil
	j.sub.Close()
	delete(s.joins, j.view.Name())
}

// pump hands the next message to the writing goroutine, unless that has one.
// Any goroutine may call it but a publishing one.
func (s *session) pump() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pumpLocked()
}

func (s *session) pumpLocked() {
	if s.inFlight || s.ended || s.ws == nil {
		return
	}
	msg := s.nextLocked()
	switch {
	case msg != nil:
		s.inFlight = true
		_ = s.ws.Write(msg) // melody's buffer has room; a closed session ends by itself
	case s.stopping:
		s.endLocked()
		_ = s.ws.CloseWithMsg(melody.FormatCloseMessage(melody.CloseGoingAway, "the server is shutting down"))
	}
}

// sent is called when the message in flight was written.
func (s *session) sent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight = false
	s.pumpLocked()
}

// nextLocked returns the message to send next, or nil.
func (s *session) nextLocked() []byte {
	// Answers first: a join's messages must not overtake the confirmation
	// of the leave before it. Who floods us with requests delays nobody else.
	if len(s.replies) > 0 {
		msg := s.replies[0]
		s.replies[0] = nil
		s.replyLen -= len(msg)
		if s.replies = s.replies[1:]; len(s.replies) == 0 {
			s.replies = nil
		}
		s.room.Signal()
		return msg
	}
	for j := s.turns.take(); j != nil; j = s.turns.take() {
		if msg := s.turnLocked(j); msg != nil {
			// Of what came after its poll a subscription notifies, but the
			// turn that this gave may have been used for the rest of a batch.
			if j.batch != nil || j.at > 1 {
				s.turns.add(j)
			}
			return msg
		}
		if len(s.replies) > 0 { // the binding has ended
			return s.nextLocked()
		}
	}
	return nil
}

// turnLocked returns the next message of the join, or nil when there is none
// until its subscription notifies.
func (s *session) turnLocked(j *join) []byte {
	if j.left {
		return nil
	}
	if j.batch == nil {
		if s.stopping {
			return nil
		}
		if j.again != nil {
			s.startAfreshLocked(j)
		}
		e, err := j.sub.Poll()
		switch {
		case errors.Is(err, core.ErrClosed):
			return nil // Shutdown comes
		case err != nil:
			s.leaveLocked(j)
			s.replyLocked(wire.ErrorMessage(j.view.Name(), problem.UnknownBinding(j.view.Name())))
			return nil
		case e == nil:
			return nil
		}
		j.batch, j.at = s.t.enc.Batch(j.view, e), 0
	}
	msg := j.batch.Message(j.at).JSON
	j.at++
	if j.at == j.batch.Len() {
		j.sent = j.batch.Token()
		j.batch = nil
	}
	return msg
}

// startAfreshLocked begins the join anew. The version that the client named is
// what it has only if nothing was on its way to it.
func (s *session) startAfreshLocked(j *join) {
	token := *j.again
	j.again = nil
	if token != j.sent {
		token = ""
	}
	j.sub.Close()
	s.subscribeLocked(j, token)
}

// stop has the session complete what is under way and close.
func (s *session) stop() {
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
	s.pump()
}

// end has nothing be sent any more, and releases the reading goroutine.
func (s *session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked()
}

func (s *session) endLocked() {
	s.ended = true
	s.replies, s.replyLen = nil, 0
	s.room.Signal()
}

// disconnected gives back what the session holds.
func (s *session) disconnected() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked()
	for _, j := range s.joins {
		s.leaveLocked(j)
	}
}
