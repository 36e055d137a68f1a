package websocket_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	gorilla "github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/transporttest"
	"github.com/binderyhq/bindery/transports/transporttest/wireharness"
	"github.com/binderyhq/bindery/transports/websocket"
)

// TestConformance holds the transport to the promises of all transports.
func TestConformance(t *testing.T) {
	transporttest.Run(t, func() (transporttest.Harness, error) { return newHarness(), nil })
}

var _ transporttest.Asker = suiteHarness{}

// suiteHarness serves the transport for the suite, in pages of pageRows.
type suiteHarness struct{ wireharness.Server }

const pageRows = 90

func newHarness() suiteHarness {
	can := transporttest.Abilities{Streams: true, Resumes: true, Deltas: true, Pages: true, Families: true, Marks: true}
	return suiteHarness{wireharness.Serve(can, func(e *echo.Echo) core.Transport {
		return websocket.New(e.Group("/ws"), websocket.Config{PageRows: pageRows})
	})}
}

// dial connects and sends a request.
func (h suiteHarness) dial(ctx context.Context, principal string, request map[string]any) (*suiteClient, error) {
	header := http.Header{transporttest.PrincipalHeader: {principal}}
	ws, resp, err := gorilla.DefaultDialer.DialContext(ctx, "ws"+strings.TrimPrefix(h.URL, "http")+"/ws", header)
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

func (h suiteHarness) Connect(ctx context.Context, binding, version string) (transporttest.Client, error) {
	return h.ConnectTo(ctx, transporttest.Request{Binding: binding, Version: version})
}

func (h suiteHarness) ConnectTo(ctx context.Context, q transporttest.Request) (transporttest.Client, error) {
	c, err := h.dial(ctx, q.Principal, map[string]any{"event": q.Binding, "params": q.JSON(), "version": q.Version})
	if err != nil {
		return nil, err
	}
	return &joined{suiteClient: c, request: q}, nil
}

func (h suiteHarness) Page(ctx context.Context, binding string, page int) (transporttest.Page, error) {
	return h.PageOf(ctx, transporttest.Request{Binding: binding}, page)
}

func (h suiteHarness) PageOf(ctx context.Context, q transporttest.Request, page int) (transporttest.Page, error) {
	c, err := h.dial(ctx, q.Principal, map[string]any{"event": q.Binding, "params": q.JSON(), "page": page})
	if err != nil {
		return transporttest.Page{}, err
	}
	defer c.Close()
	m, err := c.read(ctx)
	if err != nil {
		return transporttest.Page{}, err
	}
	return wireharness.Page(m, page)
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
	reader  wireharness.Reader
}

func (c *joined) Next(ctx context.Context) (transporttest.Message, error) {
	m, err := c.read(ctx)
	if err != nil {
		return transporttest.Message{}, err
	}
	return c.reader.Message(m)
}

// AskMark implements [transporttest.MarkAsker].
func (c *joined) AskMark(_ context.Context, mark string) error {
	return c.ws.WriteJSON(map[string]any{"event": c.request.Binding, "params": c.request.JSON(), "mark": mark})
}
