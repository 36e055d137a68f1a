package sse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/transports/internal/meter"
	"github.com/binderyhq/bindery/transports/internal/outer"
)

// stream is one open response. Everything happens on the goroutine that serves
// the request, except for the notifications and Shutdown's cut.
type stream struct {
	t    *Transport
	out  *echo.Response
	ctrl *http.ResponseController

	enc    *wire.Encoder
	ending context.Context // of the server
	http2  bool

	feeds    []*feed
	begun    bool // the first event was sent
	gathered bool // what is written goes out when the response ends

	wake chan struct{} // something may be there to send, or the end has come

	lastSent time.Time // when something was last written
	deadline time.Time // of writing; zero for none

	stopped atomic.Bool // it is to end after the current batch
	late    atomic.Bool // writing fails from now on
	mu      sync.Mutex  // guards what follows, and the setting of deadlines
	over    bool        // nothing may touch the connection any more
}

func newStream(t *Transport, c echo.Context) *stream {
	stepOut(c.Response())
	return &stream{
		t:   t,
		enc: t.enc,
		out: c.Response(),
		// Echo's own response panics where it cannot flush.
		ctrl:   http.NewResponseController(c.Response().Writer),
		ending: t.servers.Of(c.Request()),
		http2:  c.Request().ProtoMajor >= 2,
		wake:   make(chan struct{}, 1),
	}
}

// stepOut has the stream written around middleware that would compress it, or
// keep a copy of all of it.
func stepOut(res *echo.Response) {
	if below, peeled := outer.Peel(res.Writer, outer.Compresses|outer.Copies); peeled {
		res.Writer = below
		res.Header().Del("Content-Encoding") // which some middleware sets in advance
	}
}

// cut makes a write under way, and all later ones, fail.
func (s *stream) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late.Store(true)
	if !s.over {
		_ = s.ctrl.SetWriteDeadline(time.Now()) // what cannot be cut ends by itself
	}
}

// stop has the stream end after the current batch.
func (s *stream) stop() {
	s.stopped.Store(true)
	s.notify()
}

func (s *stream) notify() {
	select {
	case s.wake <- struct{}{}:
	default: // it will look at all subscriptions anyway
	}
}

// run sends events until the client leaves, the server shuts down or all
// bindings have ended.
func (s *stream) run(ctx context.Context) error {
	defer func() {
		_ = s.setDeadline(time.Time{}) // what ends the response is still to be written
		s.mu.Lock()
		s.over = true
		s.mu.Unlock()
	}()
	// The server's timeouts are made for answers that end.
	_ = s.ctrl.SetReadDeadline(time.Time{})
	setHeader(s.out.Header())
	s.out.WriteHeader(http.StatusOK)
	if err := s.begin(); err != nil {
		return s.failed(err)
	}
	if err := s.flush(); err != nil {
		return s.failed(err)
	}
	var enough <-chan time.Time
	if s.gathered {
		timer := time.NewTimer(s.patience(ctx))
		defer timer.Stop()
		enough = timer.C
	}
	// Of the registry's end Mount's function tells. A channel for each end in
	// the select below would cost more than all else here does.
	defer context.AfterFunc(s.ending, s.notify)()
	var heartbeat <-chan time.Time
	var timer *time.Timer
	if s.t.cfg.Heartbeat > 0 {
		timer = time.NewTimer(s.t.cfg.Heartbeat)
		defer timer.Stop()
		heartbeat = timer.C
	}
	states, stop := s.watchStates()
	defer stop()
	for {
		if err := s.tellStates(); err != nil {
			return s.failed(err)
		}
		if err := s.sendAvailable(ctx); err != nil {
			return s.failed(err)
		}
		if s.allEnded() || s.gathered && s.begun {
			return nil
		}
		select {
		case <-s.wake:
		case <-states:
		case <-heartbeat:
			// Set only here, and not with every event: mostly there were some.
			silent := time.Since(s.lastSent)
			if silent >= s.t.cfg.Heartbeat {
				if err := s.beat(); err != nil {
					return s.failed(err)
				}
				silent = 0
			}
			timer.Reset(s.t.cfg.Heartbeat - silent)
		case <-enough:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// maxPatience bounds how long a stream whose events are gathered waits for the
// first.
const maxPatience = 5 * time.Second

// patience returns how long a stream whose events are gathered waits for the
// first. Middleware that gathers often does so to answer in the handler's place
// when it takes too long, and EventSource does not come back after that.
func (s *stream) patience(ctx context.Context) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return min(maxPatience, time.Until(end)/2)
	}
	return maxPatience
}

// beat sends a comment.
func (s *stream) beat() error {
	if err := s.begin(); err != nil {
		return err
	}
	if _, err := io.WriteString(s.out, ":\n\n"); err != nil {
		return err
	}
	return s.flush()
}

// errEnded ends a stream in good order.
var errEnded = errors.New("sse: the stream has ended")

// sendAvailable sends one batch of each binding that has one. It is called again
// when there are more: a subscription notifies of all that comes after its poll.
func (s *stream) sendAvailable(ctx context.Context) error {
	for _, f := range s.feeds {
		if f.sub == nil {
			continue
		}
		if s.stopped.Load() || s.t.reg.Stopping().Err() != nil || s.ending.Err() != nil || ctx.Err() != nil {
			return errEnded
		}
		var due meter.Delivery
		e, err := f.sub.Poll()
		switch {
		case errors.Is(err, live.ErrClosed):
			return errEnded
		case err != nil:
			err = s.ended(ctx, f, err)
		case e == nil:
			continue
		default:
			due = s.t.meter.Due(f.sub.View(), e, !f.begun)
			f.begun = true
			e = s.enc.ForReplica(f.sub.View(), e, f.token)
			err = s.sendBatch(f, s.enc.Batch(f.sub.View(), e))
		}
		if err == nil {
			err = s.flush()
		}
		if err != nil {
			return err
		}
		s.t.meter.Delivered(due)
		due.Tell(s.t.reg, s.t.Name())
	}
	return nil
}

func (s *stream) sendBatch(f *feed, b *wire.Batch) error {
	for m := range b.Len() {
		if m > 0 && f.revoked() {
			return nil // the next poll says why; the client drops what it holds of the batch
		}
		id := ""
		if m == b.Len()-1 {
			f.token = b.Token()
			id = s.id()
		}
		if err := s.send(b.Message(m), id); err != nil {
			return err
		}
	}
	return nil
}

// id returns the id that resumes the stream where it is.
func (s *stream) id() string {
	if len(s.feeds) == 1 {
		return s.feeds[0].token
	}
	tokens := make([]string, len(s.feeds))
	for i, f := range s.feeds {
		tokens[i] = f.token
	}
	return strings.Join(tokens, idSeparator)
}

// shortEvent is the length up to which an event is written at once: copying it
// costs less than several writes do.
const shortEvent = 4 << 10

// scratch holds buffers for heads of events, and for short events as a whole.
var scratch = sync.Pool{New: func() any { return new([shortEvent]byte) }}

// send writes one event, for which there is time from now on, until it is
// flushed; an empty id leaves the client's last one in force.
func (s *stream) send(m wire.Message, id string) error {
	if err := s.begin(); err != nil {
		return err
	}
	buf := scratch.Get().(*[shortEvent]byte)
	defer scratch.Put(buf)
	b := buf[:0]
	if !s.begun {
		s.begun = true
		if retry := s.t.cfg.Retry; retry > 0 {
			// In the first event and not in a block of its own, which some
			// clients take for an event.
			spread := retry/2 + rand.N(retry)
			b = fmt.Appendf(b, "retry: %d\n", max(spread.Milliseconds(), 1))
		}
	}
	b = append(append(append(b, "event: "...), m.Action...), '\n')
	if id != "" {
		b = append(append(append(b, "id: "...), id...), '\n')
	}
	b = append(b, "data: "...)
	if len(b)+len(m.JSON)+2 <= shortEvent {
		b = append(append(b, m.JSON...), "\n\n"...)
		_, err := s.out.Write(b)
		return err
	}
	if _, err := s.out.Write(b); err != nil {
		return err
	}
	if _, err := s.out.Write(m.JSON); err != nil {
		return err
	}
	_, err := io.WriteString(s.out, "\n\n")
	return err
}

// begin gives the writing that follows its time: WriteTimeout, and up to a
// quarter more, so that a stream which writes often need not set a deadline each
// time.
func (s *stream) begin() error {
	s.lastSent = time.Now()
	timeout := s.t.cfg.WriteTimeout
	if !s.late.Load() && s.deadline.Sub(s.lastSent) >= timeout {
		return nil
	}
	return s.setDeadline(s.lastSent.Add(timeout + timeout/4))
}

// flush sends what was written, within the time that its writing was given.
// Over HTTP/2 a deadline that passes ends a stream that has nothing to write,
// so there is none afterwards; over HTTP/1 the next writing sets its own.
func (s *stream) flush() error {
	switch err := s.ctrl.Flush(); {
	case errors.Is(err, http.ErrNotSupported):
		// A stream of one event at a time: the client comes back for the next.
		s.gathered = true
		s.t.warnOfGathering(s.out.Writer)
	case err != nil:
		return err
	}
	if s.http2 {
		return s.setDeadline(time.Time{})
	}
	return nil
}

func (s *stream) setDeadline(at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.late.Load() {
		return os.ErrDeadlineExceeded
	}
	s.deadline = at
	if err := s.ctrl.SetWriteDeadline(at); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// failed notes why the stream ends. The response has begun, so there is nobody
// to give an error to: the client sees the connection end, and resumes at the
// last id that it was given.
func (s *stream) failed(err error) error {
	switch {
	case errors.Is(err, errEnded):
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.t.stuck.Add(1)
		s.t.reg.Logger().Info("sse: closed a stream whose client does not read", slog.String("id", "sse-client-stuck"),
			slog.Duration("timeout", s.t.cfg.WriteTimeout))
	}
	return nil
}
