package session

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/transports/internal/meter"
)

// Hub holds the state that the sessions of one transport share.
type Hub struct {
	transport string // its name, for the log
	limits    Limits
	reg       *core.Registry // from Mount on
	wakeup    wakeup
	held      atomic.Uint64
	meter     meter.Meter
}

// Limits bounds single sessions.
type Limits struct {
	// Joins bounds the bindings that a session has joined, over all channels.
	Joins int
	// LoadWait bounds how long a look at a page waits for the rows of a member that it
	// has created; zero or less means not to wait.
	LoadWait time.Duration
}

// NewHub returns a hub for the transport of that name.
func NewHub(transport string, limits Limits) *Hub {
	h := &Hub{transport: transport, limits: limits}
	h.wakeup.max = runtime.GOMAXPROCS(0)
	return h
}

// Mount sets the registry whose bindings are served, before the first session.
func (h *Hub) Mount(reg *core.Registry) { h.reg = reg }

// Stop waits until the hub's goroutines have ended. Call it when no session is left.
func (h *Hub) Stop() { h.wakeup.stop() }

// Held counts how often a client's requests had to wait until it took the answers to
// earlier ones.
func (h *Hub) Held() uint64 { return h.held.Load() }

// Meter returns the counters of the transport. The hub counts subscriptions and
// deliveries; the transport counts the rest.
func (h *Hub) Meter() *meter.Meter { return &h.meter }

// Status returns the counters of the sessions.
func (h *Hub) Status() status.Transport {
	st := h.meter.Status()
	st.Held = h.held.Load()
	return st
}
