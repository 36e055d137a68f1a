package fanoutbench

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/olahol/melody"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/socketio"
	"github.com/binderyhq/bindery/transports/sse"
	"github.com/binderyhq/bindery/transports/websocket"
)

// binding is the name of the binding that is followed.
const binding = "products"

// product is its row; with its name it makes messages of about 300 bytes.
type product struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

var padding = strings.Repeat(".", 120)

// subject is a server under measurement.
type subject struct {
	protocol string // of its clients: "ws", "sio" or "sse"
	path     string
	handler  http.Handler
	publish  func(text string) // one change
	ready    func(n int) bool  // n clients will get the next change
	counted  func() int64      // bytes that the registry counts for clients; nil: there is no registry
	end      func()
}

// subjects are made anew for each measurement: ours beside what is plain.
var subjects = []struct {
	name string
	make func(tb testing.TB) *subject
}{
	{"websocket", func(tb testing.TB) *subject {
		e := echo.New()
		s := ours(tb, websocket.New(e.Group("/ws"), websocket.Config{MaxConnections: -1}))
		s.protocol, s.path, s.handler = "ws", "/ws", e
		return s
	}},
	{"socketio", func(tb testing.TB) *subject {
		e := echo.New()
		s := ours(tb, socketio.New(e.Group("/socket.io"), socketio.Config{MaxConnections: -1}))
		s.protocol, s.path, s.handler = "sio", "/socket.io/?EIO=4&transport=websocket", e
		return s
	}},
	{"melody", plainMelody},
	{"sse", func(tb testing.TB) *subject {
		e := echo.New()
		s := ours(tb, sse.New(e.Group("/events"), sse.Config{MaxStreams: -1}))
		s.protocol, s.path, s.handler = "sse", "/events/"+binding, e
		return s
	}},
	{"hub", bareHub},
}

// ours is a registry with the transport, over a table in memory: what is
// published goes all the way from the report.
func ours(tb testing.TB, transport core.Transport) *subject {
	tb.Helper()
	table, source := coretest.NewTable[product](binding, "id"), &coretest.Source{}
	for i := range 10 {
		table.Put(product{ID: i, Name: padding})
	}
	reg := core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}.NewRegistry()
	b := core.Bind[product](binding, table)
	_ = reg.Add(b) // problems come from Start
	_ = reg.Watch(source)
	_ = reg.Serve(transport)
	if err := reg.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return &subject{
		publish: func(text string) {
			if err := source.Report(tb.Context(), table.Put(product{ID: 1, Name: text})); err != nil {
				tb.Error(err)
			}
		},
		ready:   func(n int) bool { return b.Status().Subscribers == n },
		counted: func() int64 { return reg.Status().Memory.Bytes[live.Clients.String()] },
		end: func() {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			if err := reg.Shutdown(ctx); err != nil {
				tb.Error(err)
			}
		},
	}
}

// message is as long as ours is.
func message(text string) string {
	return fmt.Sprintf(`{"event":%q,"action":"update","payload":[{"id":1,"name":%q}],"version":"AAAAAAAAAAAAAAAAAAAAAA","last_modified":%q}`,
		binding, text, time.Now().UTC().Format(time.RFC3339Nano))
}

func plainMelody(testing.TB) *subject {
	m := melody.New()
	return &subject{
		protocol: "ws", path: "/ws",
		handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _ = m.HandleRequest(w, r) }),
		publish: func(text string) { _ = m.Broadcast([]byte(message(text))) },
		ready:   func(n int) bool { return m.Len() == n },
		end:     func() { _ = m.Close() },
	}
}

// hub is what one writes in an hour: a channel for each client, and messages
// dropped when it is full.
type hub struct {
	mu      sync.Mutex // guards what follows
	clients map[chan []byte]struct{}
	closed  chan struct{}
}

func bareHub(testing.TB) *subject {
	h := &hub{clients: make(map[chan []byte]struct{}), closed: make(chan struct{})}
	return &subject{
		protocol: "sse", path: "/events", handler: h,
		publish: func(text string) {
			msg := []byte("event: update\nid: AAAAAAAAAAAAAAAAAAAAAA\ndata: " + message(text) + "\n\n")
			h.mu.Lock()
			defer h.mu.Unlock()
			for c := range h.clients {
				select {
				case c <- msg:
				default:
				}
			}
		},
		ready: func(n int) bool {
			h.mu.Lock()
			defer h.mu.Unlock()
			return len(h.clients) == n
		},
		end: func() { close(h.closed) },
	}
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	flusher := w.(http.Flusher)
	flusher.Flush()
	c := make(chan []byte, 16)
	h.mu.Lock()
	h.clients[c] = struct{}{}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.clients, c)
		h.mu.Unlock()
	}()
	for {
		select {
		case msg := <-c:
			if _, err := w.Write(msg); err != nil {
				return
			}
			flusher.Flush()
		case <-r.Context().Done():
			return
		case <-h.closed:
			return
		}
	}
}
