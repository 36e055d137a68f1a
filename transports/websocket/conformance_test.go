package websocket_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	gorilla "github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/transporttest"
	"github.com/binderyhq/bindery/transports/websocket"
)

// TestConformance holds the transport to the promises of all transports.
func TestConformance(t *testing.T) {
	transporttest.Run(t, func() (transporttest.Harness, error) { return newHarness(), nil })
}

var _ transporttest.Asker = (*harness)(nil)

// harness serves the transport for the suite, in pages of pageRows.
type harness struct {
	transport *websocket.Transport
	server    *httptest.Server
}

const pageRows = 90

func newHarness() *harness {
	e := echo.New()
	return &harness{transport: websocket.New(e.Group("/ws"), websocket.Config{PageRows: pageRows}), server: httptest.NewServer(transporttest.Identify(e))}
}

func (h *harness) Transport() core.Transport { return h.transport }

func (h *harness) Abilities() transporttest.Abilities {
	return transporttest.Abilities{Streams: true, Resumes: true, Deltas: true, Pages: true, Families: true, Marks: true}
}

func (h *harness) StopServer(ctx context.Context) error { return h.server.Config.Shutdown(ctx) }

func (h *harness) Close() error {
	h.server.Close()
	return nil
}

// dial connects and sends a request.
func (h *harness) dial(ctx context.Context, principal string, request map[string]any) (*suiteClient, error) {
	header := http.Header{transporttest.PrincipalHeader: {principal}}
	ws, resp, err := gorilla.DefaultDialer.DialContext(ctx, "ws"+strings.TrimPrefix(h.server.URL, "http")+"/ws", header)
	if resp != nil {
		_ = resp.Body.Close()
	}
	if resp != nil && resp.StatusCode == http.StatusServiceUnavailable {
		return nil, fmt.Errorf("%s: %w", resp.Status, transporttest.ErrUnavailable)
	}
	if err != nil {
		return nil, err
	}
	if err := ws.WriteJSON(request); err != nil {
		_ = ws.Close()
		return nil, err
	}
	return &suiteClient{ws}, nil
}

func (h *harness) Connect(ctx context.Context, binding, version string) (transporttest.Client, error) {
	return h.ConnectTo(ctx, transporttest.Request{Binding: binding, Version: version})
}

func (h *harness) ConnectTo(ctx context.Context, q transporttest.Request) (transporttest.Client, error) {
	c, err := h.dial(ctx, q.Principal, map[string]any{"event": q.Binding, "params": q.JSON(), "version": q.Version})
	if err != nil {
		return nil, err
	}
	return &joined{suiteClient: c, request: q}, nil
}

func (h *harness) Page(ctx context.Context, binding string, page int) (transporttest.Page, error) {
	return h.PageOf(ctx, transporttest.Request{Binding: binding}, page)
}

func (h *harness) PageOf(ctx context.Context, q transporttest.Request, page int) (transporttest.Page, error) {
	c, err := h.dial(ctx, q.Principal, map[string]any{"event": q.Binding, "params": q.JSON(), "page": page})
	if err != nil {
		return transporttest.Page{}, err
	}
	defer c.Close()
	m, err := c.read(ctx)
	switch {
	case err != nil:
		return transporttest.Page{}, err
	case m.Action == "error":
		return transporttest.Page{}, transporttest.RefusalOf(m.Status(), m.Payload)
	case m.Action != "page" || m.Page != page:
		return transporttest.Page{}, fmt.Errorf("asked for page %d, got %+v", page, m)
	}
	p := transporttest.Page{Pages: m.Pages}
	return p, json.Unmarshal(m.Payload, &p.Rows)
}

// suiteClient is a connection of the suite's.
type suiteClient struct{ ws *gorilla.Conn }

// Close closes the connection below the protocol, as a network does.
func (c *suiteClient) Close() { _ = c.ws.NetConn().Close() }

func (c *suiteClient) read(ctx context.Context) (m wiretest.Message, err error) {
	stop := context.AfterFunc(ctx, c.Close)
	defer stop()
	_, raw, err := c.ws.ReadMessage()
	if gorilla.IsCloseError(err, gorilla.CloseGoingAway) {
		return m, io.EOF
	}
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(raw, &m)
}

// joined is a client that has asked to join one binding.
type joined struct {
	*suiteClient
	request transporttest.Request
	begun   bool
}

func (c *joined) Next(ctx context.Context) (transporttest.Message, error) {
	m, err := c.read(ctx)
	if err != nil {
		return transporttest.Message{}, err
	}
	out := transporttest.Message{Action: transporttest.Action(m.Action), Version: m.Version, More: m.More}
	switch {
	case m.Action == "error" && m.Problem() == unknownBinding && c.begun:
		return out, io.EOF // it was removed
	case m.Action == "error":
		return out, transporttest.RefusalOf(m.Status(), m.Payload)
	}
	if m.Action == "mark" {
		out.Mark = m.Mark
		return out, nil
	}
	c.begun = true
	if string(m.Payload) == `"ok"` {
		out.Action = transporttest.Current
		return out, nil
	}
	return out, json.Unmarshal(m.Payload, &out.Rows)
}

const unknownBinding = "urn:bindery:problem:unknown-binding"

// AskMark implements [transporttest.MarkAsker].
func (c *joined) AskMark(_ context.Context, mark string) error {
	return c.ws.WriteJSON(map[string]any{"event": c.request.Binding, "params": c.request.JSON(), "mark": mark})
}
