package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/wire"
)

// Stream follows one binding, or a member of a family, and delivers the batches that lead
// from version to version.
type Stream struct {
	binding string
	url     string
	cfg     Config
	counts  counts
}

// Counts are the counters of a stream.
type Counts struct {
	// Connects counts the connections that gave a stream, Failures those that failed or
	// broke, and Resyncs the requests for all rows after malformed messages.
	Connects, Failures, Resyncs uint64
	// Bytes counts the content of events, in bytes of JSON.
	Bytes uint64
}

type counts struct{ connects, failures, resyncs, bytes atomic.Uint64 }

// Handler receives the batches of a stream. Its methods are called one at a time, on Run's
// goroutine.
type Handler interface {
	// Version returns the version that the handler holds, "" for none.
	Version() string
	// Step applies a batch, after which Version returns the batch's version. After a
	// [*wire.MalformedError] the stream requests all rows anew, while the handler keeps
	// what it has. Any other error ends Run.
	Step(s *wire.Step) error
	// Lost reports a lost or failed connection, and why. It is called at most once until
	// the next step.
	Lost(err error)
}

// StateHandler is implemented by handlers that follow a whole binding ([Config].Replica)
// and need to know how current the server's own rows are.
type StateHandler interface {
	// State is called with the server's state ("live" or "stale"), one call at a time with
	// those of [Handler]: at the beginning of a connection unless it is live, and at each
	// change.
	State(state string)
}

// LineageHandler is implemented by handlers that follow a whole binding ([Config].Replica)
// and need to know whether versions may be older than those of the connection before.
type LineageHandler interface {
	// Lineage is called at the beginning of a connection, before its first step, with the
	// text by which the server names its run of versions, "" if it names none. Versions
	// under another text may be older than those before.
	Lineage(text string)
}

// NewStream returns a stream of the binding with that name, from the address of the
// server's event streams. It does no I/O.
func NewStream(events, binding string, cfg Config) (*Stream, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	u, err := url.Parse(events)
	switch {
	case err != nil:
		return nil, fmt.Errorf("client: the address of the event streams: %w", err)
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, fmt.Errorf("client: the address of the event streams %q is no URL of http or https", u.Redacted())
	case binding == "":
		return nil, errors.New("client: the binding has no name")
	}
	query := u.Query()
	for name, values := range cfg.Params {
		query[name] = values
	}
	if cfg.Replica {
		query.Set(wire.ReplicaParam, "1")
	}
	u = u.JoinPath(url.PathEscape(binding))
	u.RawQuery = query.Encode()
	return &Stream{binding: binding, url: u.String(), cfg: cfg}, nil
}

// Counts returns the counters. Any goroutine may call it.
func (s *Stream) Counts() Counts {
	return Counts{s.counts.connects.Load(), s.counts.failures.Load(), s.counts.resyncs.Load(), s.counts.bytes.Load()}
}

// Run follows the binding until ctx is done, the handler returns an error that ends it, or
// the server refuses with a [*wire.Problem], and returns that error. Only one call at a
// time is allowed.
func (s *Stream) Run(ctx context.Context, h Handler) error {
	client, done := s.cfg.client()
	defer done()
	f := &following{stream: s, http: client, h: h, wait: backoff{min: s.cfg.MinWait, max: s.cfg.MaxWait}}
	for {
		err := f.once(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var ended *endError
		if errors.As(err, &ended) {
			return ended.err
		}
		s.counts.failures.Add(1)
		var bad *wire.MalformedError
		if f.anew = errors.As(err, &bad); f.anew {
			s.counts.resyncs.Add(1)
		}
		if !f.lost {
			f.lost = true
			h.Lost(err)
		}
		var again *laterError
		pause := f.wait.next(f.retry)
		if errors.As(err, &again) {
			pause = max(pause, min(again.after, s.cfg.MaxWait))
		}
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
	}
}

// client returns the HTTP client, and a function to call at the end.
func (c *Config) client() (client *http.Client, done func()) {
	if c.HTTP != nil {
		return c.HTTP, func() {}
	}
	// Use a separate transport, so that no connection stays open afterwards.
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 10 * time.Second, ForceAttemptHTTP2: true}
	return &http.Client{Transport: transport}, transport.CloseIdleConnections
}

// endError ends a stream permanently.
type endError struct{ err error }

func (e *endError) Error() string { return e.err.Error() }

// laterError carries the time after which the server asks to retry.
type laterError struct {
	problem *wire.Problem
	after   time.Duration
}

func (e *laterError) Error() string { return e.problem.Error() }

func (e *laterError) Unwrap() error { return e.problem }

// backoff yields growing random waits, so that clients disconnected together do not all
// reconnect at once.
type backoff struct {
	min, max time.Duration
	step     time.Duration
}

// next returns the next wait. hint is the reconnection wait that the server sent, 0 for
// none; it replaces the first step.
func (b *backoff) next(hint time.Duration) time.Duration {
	if b.step == 0 {
		b.step = b.min
		if hint > 0 {
			b.step = min(2*hint, b.max) // spread about the hint
		}
	}
	wait := rand.N(b.step) + 1
	b.step = min(2*b.step, b.max)
	return wait
}

func (b *backoff) reset() { b.step = 0 }

// sleep waits, and returns false when ctx is done.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// isRefusal reports whether the status of an answer means that a retry is useless.
func isRefusal(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status >= 400 && status < 500 || status == http.StatusNoContent
}

// eventStream reports whether the media type is that of an event stream.
func eventStream(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(kind), "text/event-stream")
}
