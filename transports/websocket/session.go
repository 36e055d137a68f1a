package websocket

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/olahol/melody"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
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
	// What each delivery touches stands together, since of many sessions little
	// is in the processor's cache.

	t     *Transport
	next  *session       // guarded by wakeup.mu
	ctx   sessionContext // of the handshake's request; done when the session has ended
	turns turns

	mu       sync.Mutex      // guards what follows; not held while writing
	inFlight bool            // a message is with the writing goroutine
	stopping bool            // complete what is under way and close
	ended    bool            // nothing is sent any more
	ws       *melody.Session // nil during the handshake
	replies  [][]byte
	replyLen int              // bytes of replies
	joins    map[string]*join // by what View.ID returns
	room     *sync.Cond       // of mu: replies have room, or the session has ended

	// Not guarded by mu.
	cancel    context.CancelFunc
	reopening sync.WaitGroup // joins whose scope has changed
}

func newSession(ctx context.Context, t *Transport) *session {
	s := &session{t: t, joins: make(map[string]*join)}
	ctx, s.cancel = context.WithCancel(ctx)
	s.ctx = sessionContext{ctx, s}
	s.room = sync.NewCond(&s.mu)
	return s
}

// handle acts on a request. It runs on the reading goroutine, so it may wait:
// the client's requests then stay in the network.
func (s *session) handle(msg []byte) {
	if !s.awaitRoom() {
		return
	}
	r, p := decodeRequest(msg)
	var g *core.Grant
	if p == nil && !r.disconnect {
		// Without the lock: the authorizer is asked, who may take its time.
		g, p = s.open(r.event, core.JSONArgs(r.params), r.page > 0)
	}
	s.mu.Lock()
	switch {
	case s.ended || s.stopping:
		if g != nil {
			g.Close()
		}
	case p != nil:
		s.refuseLocked(r, p)
	default:
		if p = s.actLocked(r, g); p != nil {
			s.replyLocked(wire.ErrorMessage(r.subject(), p))
		}
	}
	s.mu.Unlock()
	s.pump()
}

// awaitRoom waits until another request may be answered. It is false when none is
// answered any more.
func (s *session) awaitRoom() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fullLocked() {
		s.t.held.Add(1)
		for s.fullLocked() {
			s.room.Wait()
		}
	}
	return !s.ended && !s.stopping
}

func (s *session) fullLocked() bool {
	return !s.ended && (len(s.replies) >= maxReplies || s.replyLen >= maxReplyBytes)
}

func (s *session) replyLocked(m wire.Message) {
	s.replies = append(s.replies, m.JSON)
	s.replyLen += len(m.JSON)
}

// open asks for leave to use the binding, or the member that the arguments name.
// For a look at its rows it waits for them, for a moment.
func (s *session) open(event string, args core.Args, look bool) (*core.Grant, *problem.Problem) {
	g, err := s.t.reg.Open(&s.ctx, event, args)
	if err != nil {
		p, told := problem.Of(clip(event), err)
		if !told && s.ctx.Err() == nil {
			s.t.reg.Logger().Error("websocket: leave to use a binding could not be asked for",
				slog.String("binding", clip(event)), slog.Any("err", err))
		}
		return nil, p
	}
	if v := g.View(); look && g.Member() && v.Snapshot() == nil && s.t.cfg.LoadWait > 0 {
		timer := time.NewTimer(s.t.cfg.LoadWait)
		defer timer.Stop()
		select {
		case <-v.Loaded():
		case <-v.Done():
		case <-timer.C:
		case <-s.ctx.Done():
		}
	}
	return g, nil
}

// refuseLocked answers a request that is not carried out. Who may not join any
// more has not joined any more.
func (s *session) refuseLocked(r request, p *problem.Problem) {
	if p.Status == http.StatusForbidden || p.Status == http.StatusUnauthorized {
		if j := s.joinOfLocked(r); j != nil {
			s.leaveLocked(j)
		}
	}
	s.replyLocked(wire.ErrorMessage(r.subject(), p))
}

// joinOfLocked returns the join that the request is about, or nil.
func (s *session) joinOfLocked(r request) *join {
	id, err := s.t.reg.MemberID(r.event, core.JSONArgs(r.params))
	if err != nil {
		id = r.event // removed meanwhile, or never there
	}
	return s.joins[id]
}

// actLocked carries out a request. It takes over the grant, which is nil when the
// client leaves.
func (s *session) actLocked(r request, g *core.Grant) *problem.Problem {
	switch {
	case r.disconnect:
		if j := s.joinOfLocked(r); j != nil {
			s.leaveLocked(j)
		}
		s.replyLocked(wire.LeaveMessage(r.subject()))
		return nil
	case r.page > 0:
		defer g.Close()
		m, err := s.t.enc.Page(g.View(), r.page)
		if err != nil {
			return problem.NotLoaded(r.event)
		}
		s.replyLocked(m)
		return nil
	default:
		return s.joinLocked(r, g)
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
	if j.left || j.sub == nil {
		return nil
	}
	if j.batch != nil && j.revoked() {
		j.batch = nil // the poll says why; the client drops what it holds of the batch
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
		case errors.Is(err, live.ErrClosed):
			return nil // Shutdown comes
		case err != nil:
			s.endedLocked(j, err)
			return nil
		case e == nil:
			return nil
		}
		j.batch, j.at = s.t.enc.Batch(j.sub.View(), e), 0
	}
	msg := j.batch.Message(j.at).JSON
	j.at++
	if j.at == j.batch.Len() {
		j.sent = j.batch.Token()
		j.batch = nil
	}
	return msg
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
	s.cancel()
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
