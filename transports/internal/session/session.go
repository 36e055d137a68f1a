package session

import (
	"context"
	"errors"
	"sync"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/internal/meter"
)

// Bounds of the queue of answers. A request is read while the queue is below both. Its
// answer may then exceed the bytes.
const (
	maxReplies    = 64
	maxReplyBytes = 256 << 10
)

// Carrier sends a session's messages to the client. Its methods are called with the
// session's lock held: they must neither block nor call the session.
type Carrier interface {
	// Write takes over one message, whose bytes it must not modify. There is
	// no other call until [Session.Sent].
	Write(msg []byte)
	// Finish says that the session was stopped and has completed the batches under way.
	// Nothing is written after it.
	Finish()
}

// Session is one client's connection. Messages go out one at a time: pump hands the
// next one to the carrier. It is called when there is something new, and after each
// message was sent.
type Session struct {
	// Fields that each delivery touches stand together, because with many sessions
	// little of each is in the processor's cache.

	hub   *Hub
	next  *Session // guarded by wakeup.mu
	turns turns

	mu       sync.Mutex // guards what follows; not held while writing
	inFlight bool       // the carrier has a message
	stopping bool       // complete what is under way and finish
	ended    bool       // nothing is sent after this
	carrier  Carrier    // nil: none at the moment
	replies  [][]byte
	replyLen int              // bytes of replies
	joined   int              // joins of all channels
	marking  int              // marks that they wait for
	due      []meter.Delivery // deliveries of the messages given to the carrier
	channels []*Channel
	room     *sync.Cond // of mu: replies have room, or the session has ended

	// Not guarded by mu.
	ctx       context.Context
	cancel    context.CancelFunc
	reopening sync.WaitGroup // joins that ask the authorizer again after their scope changed
	asking    sync.WaitGroup // about marks
}

// Init makes the session ready. Its context, see [Session.Context], is derived from
// ctx.
func (s *Session) Init(ctx context.Context, h *Hub) {
	s.hub = h
	s.ctx, s.cancel = context.WithCancel(core.WithClient(ctx))
	s.room = sync.NewCond(&s.mu)
	context.AfterFunc(s.ctx, h.reg.Connected())
}

// Context returns a context that is done when the session has ended.
func (s *Session) Context() context.Context { return s.ctx }

// AwaitRoom waits until the queue of answers has room for another request. It returns
// false if the session answers no more requests. Only one goroutine at a time may carry
// out requests.
func (s *Session) AwaitRoom() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fullLocked() {
		s.hub.held.Add(1)
		for s.fullLocked() {
			s.room.Wait()
		}
	}
	return !s.ended && !s.stopping
}

func (s *Session) fullLocked() bool {
	return !s.ended && (len(s.replies) >= maxReplies || s.replyLen >= maxReplyBytes)
}

// Reply queues a message of the transport's own: after the waiting answers, before all
// else. The transport must bound the number of such messages.
func (s *Session) Reply(msg []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.replyLocked(msg)
	s.pumpLocked()
}

func (s *Session) replyLocked(msg []byte) {
	s.replies = append(s.replies, msg)
	s.replyLen += len(msg)
}

// Attach gives the session a carrier in place of the one that it had. A message that
// the old one was given counts as sent.
func (s *Session) Attach(c Carrier) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.carrier, s.inFlight, s.due = c, false, s.due[:0] // nobody will say when those were written
	s.pumpLocked()
}

// Detach removes the carrier, if it is this one: its methods are not called any more.
// It may already have been given a message.
func (s *Session) Detach(c Carrier) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.carrier == c {
		s.carrier = nil
	}
}

// Sent says that the carrier's message was sent.
func (s *Session) Sent() {
	s.mu.Lock()
	followed := s.deliveredLocked()
	s.inFlight = false
	s.pumpLocked()
	s.mu.Unlock()
	s.tell(followed)
}

// Delivered says that the messages given so far were written, for a carrier that was
// detached. [Session.Sent] includes this.
func (s *Session) Delivered() {
	s.mu.Lock()
	followed := s.deliveredLocked()
	s.mu.Unlock()
	s.tell(followed)
}

// deliveredLocked counts the deliveries, and returns those that plugins must be told
// of.
func (s *Session) deliveredLocked() (followed []meter.Delivery) {
	for _, d := range s.due {
		s.hub.meter.Delivered(d)
		if d.Followed() {
			followed = append(followed, d)
		}
	}
	clear(s.due)
	s.due = s.due[:0]
	return followed
}

func (s *Session) tell(followed []meter.Delivery) {
	for i := range followed {
		followed[i].Tell(s.hub.reg, s.hub.transport)
	}
}

// Take returns another message to send together with the one that the carrier was
// given, or nil.
func (s *Session) Take() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil
	}
	return s.nextLocked()
}

// pump hands the next message to the carrier, unless it has one. Do not call it on a
// goroutine that publishes.
func (s *Session) pump() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pumpLocked()
}

func (s *Session) pumpLocked() {
	if s.inFlight || s.ended || s.carrier == nil {
		return
	}
	msg := s.nextLocked()
	switch {
	case msg != nil:
		s.inFlight = true
		s.carrier.Write(msg)
	case s.stopping:
		s.endLocked()
		s.carrier.Finish()
	}
}

// nextLocked returns the message to send next, or nil.
func (s *Session) nextLocked() []byte {
	// Answers first: a join's messages must not overtake the confirmation of the leave
	// before it. A client that floods the session with requests delays only itself.
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
			// A subscription notifies of events after its last poll. But the turn for
			// those may have been used for the rest of a batch.
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

// turnLocked returns the next message of the join, or nil if there is none until its
// subscription notifies.
func (s *Session) turnLocked(j *join) []byte {
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
		if msg := s.markedLocked(j, false); msg != nil {
			return msg
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
			return s.markedLocked(j, true)
		}
		j.leads = e.Version
		j.batch, j.at = j.channel.enc.Batch(j.sub.View(), e), 0
		j.due = s.hub.meter.Due(j.sub.View(), e, !j.begun)
		j.begun = true
	}
	msg := j.batch.Message(j.at).JSON
	j.at++
	if j.at == j.batch.Len() {
		j.stands = j.leads
		if len(j.marks) > 0 {
			s.turns.add(j) // it may have reached some of them
		}
		j.batch = nil
		if !j.due.IsZero() {
			s.due = append(s.due, j.due)
		}
	}
	return msg
}

// Stop makes the session complete the batches under way and finish. Without a carrier
// it does so when it gets one.
func (s *Session) Stop() {
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
	s.pump()
}

// EndIdle ends a session that is stopping, and has neither a carrier nor a batch under
// way. It reports whether it did.
func (s *Session) EndIdle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || !s.stopping || s.carrier != nil || len(s.replies) > 0 {
		return false
	}
	for _, c := range s.channels {
		for _, j := range c.joins {
			if j.batch != nil {
				return false
			}
		}
	}
	s.endLocked()
	return true
}

// End stops all sending, and releases the goroutine that reads. It reports whether the
// session had not ended yet.
func (s *Session) End() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.ended
	s.endLocked()
	return first
}

func (s *Session) endLocked() {
	s.ended = true
	s.cancel()
	s.replies, s.replyLen = nil, 0
	s.room.Signal()
}

// Release ends the session and frees its resources. It waits for the session's
// goroutines, so do not hold a lock that the authorizer may wait for.
func (s *Session) Release() {
	s.mu.Lock()
	s.endLocked()
	for _, c := range s.channels {
		c.closeLocked()
	}
	s.channels = nil
	s.mu.Unlock()
	s.reopening.Wait()
	s.asking.Wait()
}
