package socketio

import (
	"errors"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/internal/session"
	"github.com/binderyhq/bindery/transports/socketio/internal/engineio"
)

// outcome is how a poll ends without a message.
type outcome byte

const (
	gone         outcome = iota // the session has ended; the client should begin another
	closed                      // the session was closed because the client broke the protocol
	nothing                     // a noop packet: the client goes on over WebSocket, or has closed the session
	shuttingDown                // the server is shutting down
)

// noopDelay bounds a poll that begins during an upgrade. The client waits for the poll
// to end before it upgrades, so the bound is short. A client that has not noticed yet
// that it may upgrade polls again at once.
const noopDelay = 50 * time.Millisecond

// poll is a GET request that waits for messages. It is the session's
// [session.Carrier] for one answer.
type poll struct {
	first   chan []byte  // the session's message; at most one
	outcome chan outcome // how to end without a message
	written chan struct{}
	ctrl    *http.ResponseController

	mu   sync.Mutex // guards what follows, and the setting of deadlines
	late bool       // writing fails from now on
	over bool       // the request must not be touched any more
}

var _ session.Carrier = (*poll)(nil)

func newPoll(w http.ResponseWriter) *poll {
	return &poll{
		first: make(chan []byte, 1), outcome: make(chan outcome, 1), written: make(chan struct{}),
		ctrl: http.NewResponseController(w),
	}
}

// Write answers with the message.
func (p *poll) Write(msg []byte) { p.first <- msg } // never blocks: a poll gets one message

// Finish answers that the server is shutting down.
func (p *poll) Finish() { p.answer(shuttingDown) }

// answer ends the poll without a message, unless it has one. Only the first outcome
// counts.
func (p *poll) answer(o outcome) {
	select {
	case p.outcome <- o:
	default:
	}
}

// cut makes the write under way fail, and every later one.
func (p *poll) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.late = true
	if !p.over {
		_ = p.ctrl.SetWriteDeadline(time.Now())
	}
}

// patience bounds the writing that follows. Zero removes the bound.
func (p *poll) patience(timeout time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case timeout == 0:
		p.over = true
		_ = p.ctrl.SetWriteDeadline(time.Time{}) // the connection serves other requests
	case !p.late:
		_ = p.ctrl.SetWriteDeadline(time.Now().Add(timeout)) // if this fails, the server's own timeout applies
	}
}

// servePoll waits for messages and answers with them.
func (c *conn) servePoll(w http.ResponseWriter, r *http.Request) error {
	p := newPoll(w)
	if refused := c.beginPoll(p); refused != nil {
		return refused.write(w)
	}
	defer c.leave()
	defer close(p.written)
	defer p.patience(0)
	// The server's own ReadTimeout would end a long poll.
	_ = p.ctrl.SetReadDeadline(time.Time{})
	var msg []byte
	o := gone
	select {
	case msg = <-p.first:
	case o = <-p.outcome:
	case <-r.Context().Done():
		// A message that the poll has taken would be lost, so the session ends.
		c.end(farewell{poll: gone})
	}
	c.session.Detach(p)
	if msg == nil && o == nothing {
		select {
		case msg = <-p.first: // the session wrote it before Detach
		default:
		}
	}
	var payload [][]byte
	if msg != nil {
		payload = c.gather(msg)
	}
	// The client polls again as soon as it has the answer, so this poll ends first.
	c.endPoll(p)
	p.patience(c.t.cfg.WriteTimeout)
	if payload == nil {
		return c.writeOutcome(w, r, o)
	}
	err := writePayload(w, payload...)
	if err == nil {
		if err = p.ctrl.Flush(); errors.Is(err, http.ErrNotSupported) {
			err = nil
		}
	}
	switch {
	case err == nil:
		c.session.Delivered()
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.stuck("the client does not read")
	case err != nil:
		c.end(farewell{poll: gone})
	}
	return nil // the answer has begun, so no error can follow
}

// beginPoll makes the poll the session's carrier, or returns the refusal.
func (c *conn) beginPoll(p *poll) *refusal {
	c.mu.Lock()
	switch {
	case c.over:
		c.mu.Unlock()
		return &unknownSID
	case c.link != nil:
		c.mu.Unlock()
		return &badRequest
	case c.poll != nil:
		c.mu.Unlock()
		c.end(farewell{poll: closed})
		return &badRequest
	}
	c.enterLocked()
	c.poll = p
	before := c.last
	c.mu.Unlock()
	if before != nil {
		<-before.written // no further answer while the one before is being written
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != nil { // it was upgraded to WebSocket meanwhile
		p.answer(nothing)
		return nil
	}
	if c.probe != nil {
		time.AfterFunc(noopDelay, func() { p.answer(nothing) })
	}
	c.session.Attach(p)
	return nil
}

func (c *conn) endPoll(p *poll) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.poll == p {
		c.poll, c.last = nil, p
	}
}

// gather returns the message and those to send along with it, about MessageBytes in
// all.
func (c *conn) gather(msg []byte) [][]byte {
	payload := [][]byte{msg}
	for size := len(msg); size < c.t.cfg.MessageBytes; size += len(msg) + 1 {
		if msg = c.session.Take(); msg == nil {
			break
		}
		payload = append(payload, msg)
	}
	return payload
}

// writeOutcome answers a poll that has no message.
func (c *conn) writeOutcome(w http.ResponseWriter, r *http.Request, o outcome) error {
	switch o {
	case nothing:
		return writePayload(w, []byte{byte(engineio.Noop)})
	case closed:
		return writePayload(w, []byte{byte(engineio.Close)})
	case shuttingDown:
		// No close packet: after one, some clients do not reconnect.
		c.end(farewell{poll: shuttingDown})
		return problem.ShuttingDown().Write(w, r)
	default:
		return unknownSID.write(w)
	}
}
