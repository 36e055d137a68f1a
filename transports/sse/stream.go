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

	enc     *wire.Encoder
	ending  context.Context // of the server
	http2   bool
	lineage string // what a follower was told of whose versions it gets

	feeds    []*feed
	begun    bool // the first event was sent
	gathered bool // middleware holds events back until the response ends

	wake chan struct{} // something may be there to send, or the end has come

	lastSent time.Time // when something was last written
	deadline time.Time // of writing; zero for none

	stopped atomic.Bool // end after the current batch
	late    atomic.Bool // writing fails from now on
	mu      sync.Mutex  // guards what follows, and the setting of deadlines
	over    bool        // the connection must not be touched any more
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

// stepOut makes the stream bypass middleware that would compress it or keep a copy of
// it.
func stepOut(res *echo.Response) {
	if below, peeled := outer.Peel(res.Writer, outer.Compresses|outer.Copies); peeled {
		res.Writer = below
		res.Header().Del("Content-Encoding") // which some middleware sets in advance
	}
}

// cut makes the write under way fail, and every later one.
func (s *stream) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late.Store(true)
	if !s.over {
		_ = s.ctrl.SetWriteDeadline(time.Now()) // without deadlines the stream ends by itself
	}
}

// stop makes the stream end after the current batch.
func (s *stream) stop() {
	s.stopped.Store(true)
	s.notify()
}

func (s *stream) notify() {
	select {
	case s.wake <- struct{}{}:
	default: // a wake-up is pending, and it looks at all subscriptions
	}
}

// run sends events until the client leaves, the server shuts down or all
// bindings have ended.
func (s *stream) run(ctx context.Context) error {
	defer func() {
		_ = s.setDeadline(time.Time{}) // the response's last bytes are still to be written
		s.mu.Lock()
		s.over = true
		s.mu.Unlock()
	}()
	// The server's own ReadTimeout would end a long stream.
	_ = s.ctrl.SetReadDeadline(time.Time{})
	setHeader(s.out.Header())
	if s.enc == s.t.replicas {
		s.lineage = s.lineages()
		s.out.Header().Set(wire.HeaderLineage, s.lineage)
	}
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
	// Mount's function notifies the streams when the registry stops. Another channel
	// for each of these ends in the select below would be its largest cost.
	defer context.AfterFunc(s.ending, s.notify)()
	var heartbeat <-chan time.Time
	var timer *time.Timer
	beat := s.heartbeat()
	if beat > 0 {
		timer = time.NewTimer(beat)
		defer timer.Stop()
		heartbeat = timer.C
	}
	states, stop := s.watchStates()
	defer stop()
	for {
		if s.enc == s.t.replicas && s.lineages() != s.lineage {
			return nil // what comes may be older: the follower learns it by connecting again
		}
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
			// The timer is not reset with every event. When it fires, there usually
			// were events meanwhile.
			silent := time.Since(s.lastSent)
			if silent >= beat {
				if err := s.beat(); err != nil {
					return s.failed(err)
				}
				silent = 0
			}
			timer.Reset(beat - silent)
		case <-enough:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// followerHeartbeat is the longest silence of a follower's stream. It is short because a
// follower serves others: it must notice soon that it hears nothing, and say that it is
// stale.
const followerHeartbeat = 2 * time.Second

// heartbeat returns how long the stream may be silent, not above 0 for ever.
func (s *stream) heartbeat() time.Duration {
	beat := s.t.cfg.Heartbeat
	if s.enc == s.t.replicas && (beat <= 0 || beat > followerHeartbeat) {
		return followerHeartbeat
	}
	return beat
}

// maxPatience bounds how long a stream whose events are gathered waits for the
// first.
const maxPatience = 5 * time.Second

// patience returns how long a stream whose events are gathered waits for the first.
// Such middleware often has a timeout, after which it answers in the handler's place.
// EventSource does not reconnect after that answer.
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

// sendAvailable sends one batch of each binding that has one. If there are more, it is
// called again: a subscription notifies of every event after its last poll.
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

// id returns the id that resumes the stream at this point.
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

// send writes and flushes one event, within a new WriteTimeout. An empty id keeps the
// client's last id.
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

// begin starts the time for the writing that follows: WriteTimeout, and up to a quarter
// more, so that a stream that writes often need not set a deadline each time.
func (s *stream) begin() error {
	s.lastSent = time.Now()
	timeout := s.t.cfg.WriteTimeout
	if !s.late.Load() && s.deadline.Sub(s.lastSent) >= timeout {
		return nil
	}
	return s.setDeadline(s.lastSent.Add(timeout + timeout/4))
}

// flush sends what was written before its deadline. Over HTTP/2 a deadline that passes
// ends even an idle stream, so flush removes it; over HTTP/1 the next event sets
// another.
func (s *stream) flush() error {
	switch err := s.ctrl.Flush(); {
	case errors.Is(err, http.ErrNotSupported):
		// The stream ends after this event, and the client comes back for the next.
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

// failed ends the stream. It counts and logs a client that does not read. The response
// has begun, so no error can be sent: the client sees the connection end, and resumes
// at its last id.
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
