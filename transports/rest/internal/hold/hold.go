package hold

import (
	"context"
	"net/http"
	"time"

	"github.com/binderyhq/bindery/transports/internal/ending"
)

// Requests are the requests that are held. All methods may be called from any
// goroutine.
type Requests struct {
	maxWait time.Duration
	servers *ending.Servers
	count   *Count
	open    *ending.Open[*held]
}

// held is one of them.
type held struct{ end context.CancelFunc }

// New holds at most max requests at a time, each at most for maxWait.
func New(max int, maxWait time.Duration, servers *ending.Servers) *Requests {
	return &Requests{maxWait: maxWait, servers: servers, count: NewCount(max), open: ending.NewOpen[*held](-1)}
}

// Bound returns how long a request that asks for this time can be held.
func (h *Requests) Bound(asked time.Duration) time.Duration { return min(asked, h.maxWait) }

// Hold lets a request wait for the time that it asks for. The context ends after that
// time, and when the request, stopping, or the HTTP server ends. The caller calls
// release when the request waits no more. Hold is false if the request may not
// wait.
func (h *Requests) Hold(w http.ResponseWriter, r *http.Request, stopping context.Context, asked time.Duration) (ctx context.Context, release func(), ok bool) {
	wait := h.Bound(asked)
	if wait <= 0 || !h.count.Begin() {
		return nil, nil, false
	}
	extendWriteDeadline(w, r, wait)
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	member := &held{cancel}
	_ = h.open.Enter(member) // it has no limit, and is never closed
	afterStop := context.AfterFunc(stopping, cancel)
	afterServer := context.AfterFunc(h.servers.Of(r), cancel)
	return ctx, func() {
		afterServer()
		afterStop()
		cancel()
		h.open.Leave(member)
		h.count.End()
	}, true
}

// Release ends the waits one after the other, evenly over the time. It returns the
// context's error if the context ends first.
func (h *Requests) Release(ctx context.Context, over time.Duration) error {
	return h.open.Spread(ctx, over, func(m *held) { m.end() })
}

// Drain lets no more requests wait, and returns when none does, or with the
// context's error. It may be called once.
func (h *Requests) Drain(ctx context.Context) error { return h.count.Drain(ctx) }

// Len returns how many requests are held.
func (h *Requests) Len() int { return h.count.Len() }

// extendWriteDeadline makes the server's WriteTimeout count from the end of the wait.
// Where the connection does not support that, the server cuts it when the WriteTimeout
// is over.
func extendWriteDeadline(w http.ResponseWriter, r *http.Request, wait time.Duration) {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok || server.WriteTimeout <= 0 {
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(wait + server.WriteTimeout))
}
