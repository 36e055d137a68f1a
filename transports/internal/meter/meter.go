// Package meter counts the activity of a transport, for [core.StatusReporter].
package meter

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// bounds are the upper bounds of the buckets of delays, from a change that is delivered
// at once to a client that is a minute behind.
var bounds = [...]time.Duration{
	500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond,
	25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 60 * time.Second,
}

// The HTTP statuses that are counted separately (RFC 9110, section 15). Others count as
// 500.
const (
	firstStatus = 100
	lastStatus  = 599
)

// Meter holds the counters of one transport. The zero value is ready. All methods
// may be called from any goroutine; none blocks.
type Meter struct {
	responses   [lastStatus - firstStatus + 1]atomic.Uint64
	subscribers atomic.Int64
	resumed     atomic.Uint64
	synced      atomic.Uint64
	lagged      atomic.Uint64
	resynced    atomic.Uint64
	bodies      atomic.Uint64
	delays      [len(bounds) + 1]atomic.Uint64
	delayed     atomic.Int64 // all delays together, in nanoseconds
}

// Status returns the counters. Counters that a meter does not have are left zero.
func (m *Meter) Status() status.Transport {
	st := status.Transport{
		Subscribers: int(m.subscribers.Load()),
		Resumed:     m.resumed.Load(), Synced: m.synced.Load(), Lagged: m.lagged.Load(), Resynced: m.resynced.Load(),
		Bodies: m.bodies.Load(), Responses: map[int]uint64{},
		Delay: status.Histogram{Bounds: bounds[:], Counts: make([]uint64, len(m.delays)), Sum: time.Duration(m.delayed.Load())},
	}
	for i := range m.responses {
		if n := m.responses[i].Load(); n > 0 {
			st.Responses[firstStatus+i] = n
		}
	}
	for i := range m.delays {
		st.Delay.Counts[i] = m.delays[i].Load()
	}
	return st
}

// Body counts a body that was encoded.
func (m *Meter) Body() { m.bodies.Add(1) }

// Responded counts an answer.
func (m *Meter) Responded(code int) {
	if code < firstStatus || code > lastStatus {
		code = http.StatusInternalServerError
	}
	m.responses[code-firstStatus].Add(1)
}

// Count wraps a handler and counts its answers when it returns. It leaves out an answer
// that has not begun, because the handler has taken over the connection. After an error
// the application's error handler will answer, so that answer counts.
func (m *Meter) Count(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		done := false
		defer func() {
			if !done { // it panicked
				m.ended(c, http.ErrAbortHandler)
			}
		}()
		err := next(c)
		done = true
		m.ended(c, err)
		return err
	}
}

func (m *Meter) ended(c echo.Context, err error) {
	switch {
	case c.Response().Committed:
		m.Responded(c.Response().Status)
	case err != nil:
		m.Responded(statusOf(err))
	}
}

// statusOf returns the status that Echo's default error handler answers with.
func statusOf(err error) int {
	var he *echo.HTTPError
	if errors.As(err, &he) {
		return he.Code
	}
	return http.StatusInternalServerError
}

// CountEarly is Count for handlers of streams. It counts when the header is written,
// which may be hours before the end.
func (m *Meter) CountEarly(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Before(func() { m.Responded(c.Response().Status) })
		return next(c)
	}
}

// Subscribe subscribes as [core.Grant.Subscribe] does, and counts the subscription
// until it is closed. It sets OnClose.
func (m *Meter) Subscribe(ctx context.Context, g *core.Grant, opts live.SubscribeOptions) *live.Subscription {
	m.subscribers.Add(1)
	opts.OnClose = m.left
	return g.Subscribe(ctx, opts)
}

func (m *Meter) left() { m.subscribers.Add(-1) }

// Delivery is an event that is about to be written to a client. The zero value is not
// measured, and plugins are not told of it.
type Delivery struct {
	reported time.Time // zero: the delay is not measured

	// Set for an event that plugins follow; else nil.
	view  *live.View
	event *live.Event
	began time.Time
}

// IsZero reports whether the delivery is neither measured nor told to plugins.
func (d *Delivery) IsZero() bool { return d.reported.IsZero() && d.event == nil }

// Followed reports whether plugins must be told of the delivery, see [Delivery.Tell].
func (d *Delivery) Followed() bool { return d.event != nil }

// Due counts an event of a subscription, and returns its delivery; first says that it
// is the subscription's first event. The delay of the first is not measured, because it
// would include the time for which the client was away.
func (m *Meter) Due(v *live.View, e *live.Event, first bool) (d Delivery) {
	switch {
	case first && e.Kind == live.Synced:
		m.synced.Add(1)
	case first:
		m.resumed.Add(1)
	case e.Kind == live.Synced:
		m.resynced.Add(1)
	case e.Merged:
		m.lagged.Add(1)
	}
	if e.Context() != nil {
		d = Delivery{view: v, event: e, began: time.Now()}
	}
	if !first {
		d.reported = e.Reported
	}
	return d
}

// Tell tells plugins that the event was written to a client. The caller holds no lock.
func (d *Delivery) Tell(reg *core.Registry, transport string) {
	if d.event != nil {
		reg.Delivered(transport, d.view, d.event, d.began)
	}
}

// Delivered counts a change that has just been written to a client.
func (m *Meter) Delivered(of Delivery) {
	if of.reported.IsZero() {
		return
	}
	d := max(0, time.Since(of.reported))
	at := len(bounds)
	for i, bound := range bounds {
		if d <= bound {
			at = i
			break
		}
	}
	m.delays[at].Add(1)
	m.delayed.Add(int64(d))
}
