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
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/internal/wire"
)

// stream is one open response. Everything happens on the goroutine that serves
// the request, except for the notifications and Shutdown's cut.
type stream struct {
	t    *Transport
	out  *echo.Response
	ctrl *http.ResponseController

	ending context.Context // of the server

	subs   []*core.Subscription // nil where the binding has ended
	tokens []string             // of the versions sent, one for each subscription
	begun  bool                 // the first event was sent

	wake chan struct{} // something may be there to send

	mu   sync.Mutex // guards what follows, and the setting of deadlines
	over bool       // nothing may touch the connection any more
	late bool       // writing fails from now on
}

func newStream(t *Transport, c echo.Context) *stream {
	return &stream{
		t:   t,
		out: c.Response(),
		// Echo's own response panics where it cannot flush.
		ctrl:   http.NewResponseController(c.Response().Writer),
		ending: t.servers.Of(c.Request()),
		wake:   make(chan struct{}, 1),
	}
}

// cut makes a write under way, and all later ones, fail.
func (s *stream) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = true
	if !s.over {
		_ = s.ctrl.SetWriteDeadline(time.Now()) // what cannot be cut ends by itself
	}
}

// subscribe begins the subscriptions, each at its token.
func (s *stream) subscribe(views []*core.View, tokens []string) {
	s.tokens = tokens
	s.subs = make([]*core.Subscription, len(views))
	for i, v := range views {
		s.subs[i] = v.Subscribe(core.SubscribeOptions{Version: tokens[i], Notify: s.notify})
	}
}

func (s *stream) unsubscribe() {
	for _, sub := range s.subs {
		if sub != nil {
			sub.Close()
		}
	}
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
		s.mu.Lock()
		s.over = true
		s.mu.Unlock()
	}()
	// The server's timeouts are made for answers that end.
	_ = s.ctrl.SetReadDeadline(time.Time{})
	setHeader(s.out.Header())
	s.out.WriteHeader(http.StatusOK)
	if err := s.flush(); err != nil {
		return s.failed(err)
	}
	var heartbeat <-chan time.Time
	var timer *time.Timer
	if s.t.cfg.Heartbeat > 0 {
		timer = time.NewTimer(s.t.cfg.Heartbeat)
		defer timer.Stop()
		heartbeat = timer.C
	}
	for {
		sent, err := s.sendAvailable(ctx)
		switch {
		case err != nil:
			return s.failed(err)
		case s.ended():
			return nil
		}
		if sent && timer != nil {
			timer.Reset(s.t.cfg.Heartbeat)
		}
		select {
		case <-s.wake:
		case <-heartbeat:
			if err := s.write(":\n\n"); err != nil {
				return s.failed(err)
			}
			if err := s.flush(); err != nil {
				return s.failed(err)
			}
			timer.Reset(s.t.cfg.Heartbeat)
		case <-ctx.Done():
			return nil
		case <-s.t.reg.Stopping().Done():
			return nil
		case <-s.ending.Done():
			return nil
		}
	}
}

// errEnded ends a stream in good order.
var errEnded = errors.New("sse: the stream has ended")

// sendAvailable sends batches, the bindings taking turns, until there is none.
func (s *stream) sendAvailable(ctx context.Context) (sent bool, err error) {
	for more := true; more; {
		more = false
		for i, sub := range s.subs {
			if sub == nil {
				continue
			}
			select {
			case <-s.t.reg.Stopping().Done():
				return sent, errEnded
			case <-s.ending.Done():
				return sent, errEnded
			case <-ctx.Done():
				return sent, errEnded
			default:
			}
			e, err := sub.Poll()
			switch {
			case errors.Is(err, core.ErrClosed):
				return sent, errEnded
			case err != nil:
				sub.Close()
				s.subs[i], s.tokens[i] = nil, ""
				name := sub.View().Name()
				err = s.send(wire.ErrorMessage(name, problem.UnknownBinding(name)), s.id())
			case e == nil:
				continue
			default:
				err = s.sendBatch(i, s.t.enc.Batch(sub.View(), e))
			}
			if err == nil {
				err = s.flush()
			}
			if err != nil {
				return sent, err
			}
			sent, more = true, true
		}
	}
	return sent, nil
}

func (s *stream) sendBatch(i int, b *wire.Batch) error {
	for m := range b.Len() {
		id := ""
		if m == b.Len()-1 {
			s.tokens[i] = b.Token()
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
	if len(s.tokens) == 1 {
		return s.tokens[0]
	}
	return strings.Join(s.tokens, idSeparator)
}

// send writes one event; an empty id leaves the client's last one in force.
func (s *stream) send(m wire.Message, id string) error {
	var head strings.Builder
	if !s.begun {
		s.begun = true
		if retry := s.t.cfg.Retry; retry > 0 {
			// In the first event and not in a block of its own, which some
			// clients take for an event.
			spread := retry/2 + rand.N(retry)
			fmt.Fprintf(&head, "retry: %d\n", max(spread.Milliseconds(), 1))
		}
	}
	head.WriteString("event: ")
	head.WriteString(string(m.Action))
	head.WriteByte('\n')
	if id != "" {
		head.WriteString("id: ")
		head.WriteString(id)
		head.WriteByte('\n')
	}
	head.WriteString("data: ")
	if err := s.write(head.String()); err != nil {
		return err
	}
	if _, err := s.out.Write(m.JSON); err != nil {
		return err
	}
	_, err := io.WriteString(s.out, "\n\n")
	return err
}

// write begins an event, for whose writing there is time from now on.
func (s *stream) write(text string) error {
	if err := s.setDeadline(time.Now().Add(s.t.cfg.WriteTimeout)); err != nil {
		return err
	}
	_, err := io.WriteString(s.out, text)
	return err
}

// flush sends what was written. Afterwards there is no deadline, since over
// HTTP/2 one that passes ends a stream that has nothing to write.
func (s *stream) flush() error {
	if err := s.setDeadline(time.Now().Add(s.t.cfg.WriteTimeout)); err != nil {
		return err
	}
	if err := s.ctrl.Flush(); err != nil {
		return err
	}
	return s.setDeadline(time.Time{})
}

func (s *stream) setDeadline(at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.late {
		return os.ErrDeadlineExceeded
	}
	if err := s.ctrl.SetWriteDeadline(at); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// ended reports whether all bindings have.
func (s *stream) ended() bool {
	for _, sub := range s.subs {
		if sub != nil {
			return false
		}
	}
	return true
}

// failed notes why the stream ends. The response has begun, so there is nobody
// to give an error to: the client sees the connection end, and resumes at the
// last id that it was given.
func (s *stream) failed(err error) error {
	switch {
	case errors.Is(err, errEnded):
		return nil
	case errors.Is(err, http.ErrNotSupported):
		s.t.reg.Logger().Error("sse: a middleware's response writer cannot be flushed: no event can be sent")
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.t.stuck.Add(1)
		s.t.reg.Logger().Info("sse: closed a stream whose client does not read",
			slog.Duration("timeout", s.t.cfg.WriteTimeout))
	}
	return nil
}
