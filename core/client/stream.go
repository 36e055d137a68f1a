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

// Stream follows one binding, or a member of a family, as the batches that lead from
// version to version.
type Stream struct {
	binding string
	url     string
	cfg     Config
	counts  counts
}

// Counts are what a stream has seen so far.
type Counts struct {
	// Connects counts the connections that were answered with a stream, Failures
	// those that failed or broke, Resyncs the times that everything was asked for
	// anew because something made no sense.
	Connects, Failures, Resyncs uint64
	// Bytes counts what events held, in bytes of JSON.
	Bytes uint64
}

type counts struct{ connects, failures, resyncs, bytes atomic.Uint64 }

// Handler is told what a stream brings. Calls are made one at a time, on Run's
// goroutine.
type Handler interface {
	// Version returns the version that the handler holds, "" for none.
	Version() string
	// Step takes a batch, after which Version returns the batch's. A
	// [*wire.MalformedError] says that it makes no sense: everything is asked for
	// anew, while the handler goes on holding what it has. Any other error ends Run.
	Step(s *wire.Step) error
	// Lost says that there is no connection, since when something was last heard,
	// and why. It is called at most once until a step comes.
	Lost(err error)
}

// StateHandler is implemented by handlers that follow a whole binding
// ([Config].Replica), and want to be told how current the server's own rows are.
type StateHandler interface {
	// State is called, as the methods of [Handler] are, when the server says so
	// ("live", "stale"): at the beginning of a connection if it is not live, and
	// whenever it changes.
	State(state string)
}

// NewStream returns a stream of the binding with the name, from the server's event
// streams at the address. It does no input or output.
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

// Run follows the binding until ctx is done, the handler returns an error that ends
// it, or the server refuses, which is a [*wire.Problem]. It is called once at a time.
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

// client returns what makes the requests, and what is to be done at the end.
func (c *Config) client() (client *http.Client, done func()) {
	if c.HTTP != nil {
		return c.HTTP, func() {}
	}
	// A transport of its own, so that nothing stays open after it.
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 10 * time.Second, ForceAttemptHTTP2: true}
	return &http.Client{Transport: transport}, transport.CloseIdleConnections
}

// endError ends a stream for good.
type endError struct{ err error }

func (e *endError) Error() string { return e.err.Error() }

// laterError says when a server wants to be asked again.
type laterError struct {
	problem *wire.Problem
	after   time.Duration
}

func (e *laterError) Error() string { return e.problem.Error() }

func (e *laterError) Unwrap() error { return e.problem }

// backoff yields growing waits, each spread over its whole step so that clients
// which were cut off together do not come back together.
type backoff struct {
	min, max time.Duration
	step     time.Duration
}

// next returns the next wait. hint is what the server tells its clients to wait, 0
// for nothing; it takes the place of the first step.
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

// sleep waits. It is false when ctx is done.
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

// isRefusal reports whether asking again makes no sense, by the status of an answer.
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
