package sse

import (
	"context"
	"errors"
	"io"
	"net/http"
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
