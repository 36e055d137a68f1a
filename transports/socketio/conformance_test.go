package socketio_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/transports/socketio"
	"github.com/binderyhq/bindery/transports/transporttest"
	"github.com/binderyhq/bindery/transports/transporttest/wireharness"
)

// TestConformance holds the transport to the promises of all transports, in each
// way in which clients may be connected.
func TestConformance(t *testing.T) {
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			transporttest.Run(t, func() (transporttest.Harness, error) { return newHarness(way), nil })
		})
	}
}

var _ transporttest.Asker = suiteHarness{}

// suiteHarness serves the transport for the suite, in pages of pageRows.
type suiteHarness struct {
	wireharness.Server
	way    string
	client *http.Client
}

const pageRows = 90

func newHarness(way string) suiteHarness {
	cfg := socketio.Config{PageRows: pageRows}
	if way == polling { // who vanishes shows by not answering
		cfg.PingInterval, cfg.PingTimeout = time.Second, 3*time.Second
	}
	can := transporttest.Abilities{Streams: true, Resumes: true, Deltas: true, Pages: true, Families: true, Marks: true}
	return suiteHarness{
		Server: wireharness.Serve(can, func(e *echo.Echo) core.Transport { return socketio.New(e.Group("/socket.io"), cfg) }),
		way:    way, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}},
	}
}

func (h suiteHarness) Close() error {
	defer h.client.CloseIdleConnections()
	return h.Server.Close()
}

// dial connects and asks.
func (h suiteHarness) dial(ctx context.Context, q transporttest.Request, arg map[string]any) (*client, error) {
	arg["params"] = q.JSON()
	c, err := dial(ctx, h.client, h.URL, h.way, http.Header{transporttest.PrincipalHeader: {q.Principal}})
	if err != nil {
		return nil, told(err)
	}
	raw, err := json.Marshal(arg)
	if err != nil {
		return nil, err
	}
	if err := c.emit(ctx, q.Binding, string(raw)); err != nil {
		c.vanish()
		return nil, told(err)
	}
	return c, nil
}

// told returns what the suite calls an error.
func told(err error) error {
	if status := (*statusError)(nil); errors.As(err, &status) && status.status == http.StatusServiceUnavailable {
		return fmt.Errorf("%w: %w", err, transporttest.ErrUnavailable)
	}
	return err
}

func (h suiteHarness) Connect(ctx context.Context, binding, version string) (transporttest.Client, error) {
	return h.ConnectTo(ctx, transporttest.Request{Binding: binding, Version: version})
}

func (h suiteHarness) ConnectTo(ctx context.Context, q transporttest.Request) (transporttest.Client, error) {
	c, err := h.dial(ctx, q, map[string]any{"version": q.Version})
	if err != nil {
		return nil, err
	}
	return &joined{client: c, binding: q.Binding}, nil
}

func (h suiteHarness) Page(ctx context.Context, binding string, page int) (transporttest.Page, error) {
	return h.PageOf(ctx, transporttest.Request{Binding: binding}, page)
}

func (h suiteHarness) PageOf(ctx context.Context, q transporttest.Request, page int) (transporttest.Page, error) {
	c, err := h.dial(ctx, q, map[string]any{"page": page})
	if err != nil {
		return transporttest.Page{}, err
	}
	defer c.vanish()
	m, err := c.message(ctx)
	if err != nil {
		return transporttest.Page{}, told(err)
	}
	return wireharness.Page(m, page)
}

// joined is a client that has asked to join one binding.
type joined struct {
	client  *client
	binding string
	reader  wireharness.Reader
}

func (c *joined) Close() { c.client.vanish() }

func (c *joined) Next(ctx context.Context) (transporttest.Message, error) {
	m, err := c.client.message(ctx)
	status := (*statusError)(nil)
	switch {
	case gorilla.IsCloseError(err, gorilla.CloseGoingAway):
		return transporttest.Message{}, io.EOF
	case errors.As(err, &status) && status.status == http.StatusServiceUnavailable:
		return transporttest.Message{}, io.EOF
	case errors.Is(err, syscall.ECONNREFUSED) && c.client.ws == nil:
		// The server has gone between two polls, when nothing was open that
		// could have been told.
		return transporttest.Message{}, io.EOF
	case err != nil:
		return transporttest.Message{}, err
	}
	return c.reader.Message(m)
}

// AskMark implements [transporttest.MarkAsker].
func (c *joined) AskMark(ctx context.Context, mark string) error {
	raw, err := json.Marshal(map[string]string{"mark": mark})
	if err != nil {
		return err
	}
	return c.client.emit(ctx, c.binding, string(raw))
}
