package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/binderyhq/bindery/core/wire"
)

// following is one Run of a stream, across connections.
type following struct {
	stream *Stream
	http   *http.Client
	h      Handler

	gather wire.Gatherer
	wait   backoff
	retry  time.Duration // the reconnection wait that the server sent
	lost   bool          // the handler was told that the connection is lost
	anew   bool          // request all rows
	denied bool          // the last answer was 401
}

var errStreamEnded = errors.New("client: the stream has ended")

// once makes one connection and reads it to its end. It never returns nil.
func (f *following) once(ctx context.Context) error {
	s := f.stream
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := s.request(ctx, http.MethodGet)
	if err != nil {
		return err
	}
	from := ""
	if !f.anew {
		from = f.h.Version()
	}
	if from != "" {
		req.Header.Set("Last-Event-ID", from)
	}
	quiet := newWatchdog(s.cfg.Silence, cancel)
	defer quiet.stop()
	resp, err := f.http.Do(req)
	if err != nil {
		return whyEnded(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := f.refused(resp); err != nil {
		return err
	}
	s.counts.connects.Add(1)
	if h, ok := f.h.(LineageHandler); ok && s.cfg.Replica {
		h.Lineage(resp.Header.Get(wire.HeaderLineage))
	}
	f.denied = false
	f.gather = wire.Gatherer{MaxBytes: s.cfg.MaxBytes}
	return whyEnded(ctx, f.read(wire.NewEventReader(&watched{resp.Body, quiet}, s.cfg.MaxEvent), from))
}

// Head sends a HEAD request for a stream of the binding, and returns the answer's headers.
// A refusal is a [*wire.Problem] with only the status, since such an answer has no body.
func Head(ctx context.Context, events, binding string, cfg Config) (http.Header, error) {
	s, err := NewStream(events, binding, cfg)
	if err != nil {
		return nil, err
	}
	client, done := s.cfg.client()
	defer done()
	req, err := s.request(ctx, http.MethodHead)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &wire.Problem{Status: resp.StatusCode, Title: http.StatusText(resp.StatusCode)}
	}
	return resp.Header, nil
}

// request makes a request for the stream.
func (s *Stream) request(ctx context.Context, method string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.url, nil)
	if err != nil {
		return nil, &endError{err}
	}
	if s.cfg.Header != nil {
		header, err := s.cfg.Header(ctx)
		if err != nil {
			return nil, fmt.Errorf("client: asking for headers: %w", err)
		}
		for name, values := range header {
			req.Header[name] = values
		}
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Cache-Control", "no-store")
	return req, nil
}

// whyEnded returns the context's cause in place of its error.
func whyEnded(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && ctx.Err() != nil {
		return cause
	}
	return err
}

// refused returns an error for an answer that is not a stream.
func (f *following) refused(resp *http.Response) error {
	if resp.StatusCode == http.StatusOK && eventStream(resp.Header.Get("Content-Type")) {
		return nil
	}
	p := &wire.Problem{Status: resp.StatusCode, Title: http.StatusText(resp.StatusCode)}
	if body, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem)); err == nil {
		_ = json.Unmarshal(body, p) // without a problem document there is only the status
		p.Status = resp.StatusCode
	}
	switch {
	case resp.StatusCode == http.StatusOK:
		p.Title = "the answer is no event stream"
	case resp.StatusCode == http.StatusUnauthorized && f.stream.cfg.Header != nil && !f.denied:
		f.denied = true // the token may just have expired
	case isRefusal(resp.StatusCode):
		return &endError{p}
	}
	after := time.Duration(0)
	if seconds, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 31); err == nil {
		after = time.Duration(seconds) * time.Second
	}
	return &laterError{p, after}
}

// maxProblem bounds the bytes read of a refusal.
const maxProblem = 64 << 10

// read reads events until the stream ends. from is the version from which the answer
// continues.
func (f *following) read(events *wire.EventReader, from string) error {
	mine := subject{binding: f.stream.binding, params: f.stream.cfg.Params}
	for {
		ev, err := events.Next(nil)
		if f.retry = events.Retry(); err != nil {
			switch {
			case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
				err = errStreamEnded
			case errors.Is(err, wire.ErrEventTooLong):
				err = &wire.MalformedError{Detail: err.Error()}
			}
			return err
		}
		f.stream.counts.bytes.Add(uint64(len(ev.Data)))
		data := append([]byte(nil), ev.Data...) // rows refer to it
		m, err := wire.Decode(data)
		if err != nil {
			return err
		}
		if !mine.is(m) {
			continue
		}
		switch m.Action {
		case wire.Sync, wire.Create, wire.Update, wire.Delete:
		case wire.Error:
			p := m.Problem
			if isRefusal(p.Status) {
				return &endError{&p}
			}
			return &laterError{&p, 0}
		case wire.State:
			if h, ok := f.h.(StateHandler); ok {
				h.State(m.State)
			}
			continue
		default:
			continue
		}
		step, err := f.gather.Add(m, len(data), from)
		if err != nil {
			return err
		}
		if step == nil {
			continue
		}
		if err := f.take(step); err != nil {
			return err
		}
		from = step.Last().Version
	}
}

// take passes a step to the handler.
func (f *following) take(step *wire.Step) error {
	err := f.h.Step(step)
	var bad *wire.MalformedError
	switch {
	case err == nil:
		f.lost, f.anew = false, false
		f.wait.reset()
		return nil
	case errors.As(err, &bad):
		return err
	default:
		return &endError{err}
	}
}

// subject recognises the messages of one binding, or member.
type subject struct {
	binding string
	params  url.Values
	spelled map[string]string // the parameters in the server's spelling; nil until known
}

// is reports whether the message is about the subject. The server may spell parameters
// differently, so the first match is by names, and later ones by the server's spelling.
func (s *subject) is(m wire.Received) bool {
	if m.Event != s.binding {
		return false
	}
	var raw map[string]json.RawMessage
	if m.Params != nil && json.Unmarshal(m.Params, &raw) != nil {
		return false
	}
	for name, values := range s.params {
		if _, ok := raw[name]; !ok && slices.ContainsFunc(values, func(v string) bool { return v != "" }) {
			return false // the server may treat empty values as not given
		}
	}
	said := make(map[string]string, len(raw))
	for name, value := range raw {
		if _, ok := s.params[name]; !ok {
			return false
		}
		said[name] = string(value)
	}
	for name, value := range s.spelled {
		if said[name] != value {
			return false
		}
	}
	if s.spelled == nil {
		s.spelled = said
	}
	return true
}

// watchdog ends a connection that is silent for too long.
type watchdog struct {
	timer *time.Timer
	after time.Duration
}

var errSilent = errors.New("client: nothing is heard from the server")

func newWatchdog(after time.Duration, cancel context.CancelCauseFunc) *watchdog {
	if after < 0 {
		return &watchdog{}
	}
	return &watchdog{time.AfterFunc(after, func() { cancel(errSilent) }), after}
}

func (w *watchdog) heard() {
	if w.timer != nil {
		w.timer.Reset(w.after)
	}
}

func (w *watchdog) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// watched tells a watchdog of each read.
type watched struct {
	io.Reader
	dog *watchdog
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if n > 0 {
		w.dog.heard()
	}
	return n, err
}
