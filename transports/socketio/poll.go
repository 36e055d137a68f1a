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
	gone         outcome = iota // the session has ended; a client that still wants it comes back
	closed                      // the session was closed, because of what the client did
	nothing                     // the client is to go on elsewhere
	shuttingDown                // the server is
)

// noopDelay is how long a poll may stay open that begins while the client is
// changing to WebSocket. It waits for it to end, so it must not be long; a client
// that has not heard yet that it may change polls again at once.
const noopDelay = 50 * time.Millisecond

// poll is a GET request that waits for messages. It is the session's
// [session.Carrier] for one answer.
type poll struct {
	first   chan []byte  // the message that it was given
	outcome chan outcome // or what to answer without
	written chan struct{}
	ctrl    *http.ResponseController

	mu   sync.Mutex // guards what follows, and the setting of deadlines
	late bool       // writing fails from now on
	over bool       // nothing may touch the request any more
}

var _ session.Carrier = (*poll)(nil)

func newPoll(w http.ResponseWriter) *poll {
	return &poll{
		first: make(chan []byte, 1), outcome: make(chan outcome, 1), written: make(chan struct{}),
		ctrl: http.NewResponseController(w),
	}
}

// Write answers with the message.
func (p *poll) Write(msg []byte) { p.first <- msg } // there is room: it is given one

// Finish answers that the server is shutting down.
func (p *poll) Finish() { p.answer(shuttingDown) }

// answer answers without a message, unless there is one. The first outcome counts.
func (p *poll) answer(o outcome) {
	select {
	case p.outcome <- o:
	default:
	}
}

// cut makes a write under way, and all later ones, fail.
func (p *poll) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.late = true
	if !p.over {
		_ = p.ctrl.SetWriteDeadline(time.Now())
	}
}

// patience bounds the writing that follows. Zero: it is not bounded any more.
func (p *poll) patience(timeout time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case timeout == 0:
		p.over = true
		_ = p.ctrl.SetWriteDeadline(time.Time{}) // the connection serves other requests
	case !p.late:
		_ = p.ctrl.SetWriteDeadline(time.Now().Add(timeout)) // where it cannot be set the server's own counts
	}
}

// servePoll answers when there are messages.
func (c *conn) servePoll(w http.ResponseWriter, r *http.Request) error {
	p := newPoll(w)
	if refused := c.beginPoll(p); refused != nil {
		return refused.write(w)
	}
	defer c.leave()
	defer close(p.written)
	defer p.patience(0)
	// A server's timeouts are made for answers that come at once.
	_ = p.ctrl.SetReadDeadline(time.Time{})
	var msg []byte
	o := gone
	select {
	case msg = <-p.first:
	case o = <-p.outcome:
	case <-r.Context().Done():
		// What it was given is lost, so the session is.
		c.end(farewell{poll: gone})
	}
	c.session.Detach(p)
	if msg == nil && o == nothing {
		select {
		case msg = <-p.first: // given meanwhile
		default:
		}
	}
	var payload [][]byte
	if msg != nil {
		payload = c.gather(msg)
	}
	// The client polls again as soon as it has the answer.
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
	return nil // it has been answered as far as it goes
}

// beginPoll makes the poll the session's carrier, or says why not.
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
		<-before.written // a client that has not read the answer gets no other
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != nil { // it has changed to WebSocket meanwhile
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

// gather returns the message and those that go with it.
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
		// Not a close packet: some clients take that for the end.
		c.end(farewell{poll: shuttingDown})
		return problem.ShuttingDown().Write(w, r)
	default:
		return unknownSID.write(w)
	}
}
