package sse

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core/wire"
)

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
