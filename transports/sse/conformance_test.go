package sse_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/sse"
	"github.com/binderyhq/bindery/transports/transporttest"
)

// TestConformance holds the transport to the promises of all transports.
func TestConformance(t *testing.T) {
	transporttest.Run(t, func() (transporttest.Harness, error) { return newHarness(), nil })
}

var _ transporttest.Asker = (*harness)(nil)

// harness serves the transport for the suite.
type harness struct {
	transport *sse.Transport
	server    *httptest.Server
}

func newHarness() *harness {
	e := echo.New()
	return &harness{transport: sse.New(e.Group("/events")), server: httptest.NewServer(transporttest.Identify(e))}
}

func (h *harness) Transport() core.Transport { return h.transport }

func (h *harness) Abilities() transporttest.Abilities {
	return transporttest.Abilities{Streams: true, Resumes: true, Deltas: true, Families: true}
}

func (h *harness) Page(context.Context, string, int) (transporttest.Page, error) {
	return transporttest.Page{}, transporttest.ErrUnsupported
}

func (h *harness) PageOf(context.Context, transporttest.Request, int) (transporttest.Page, error) {
	return transporttest.Page{}, transporttest.ErrUnsupported
}

func (h *harness) StopServer(ctx context.Context) error { return h.server.Config.Shutdown(ctx) }

func (h *harness) Close() error {
	h.server.Close()
	return nil
}

func (h *harness) Connect(ctx context.Context, binding, version string) (transporttest.Client, error) {
	return h.ConnectTo(ctx, transporttest.Request{Binding: binding, Version: version})
}

func (h *harness) ConnectTo(ctx context.Context, q transporttest.Request) (transporttest.Client, error) {
	target := h.server.URL + "/events/" + url.PathEscape(q.Binding) + "?" + q.Query().Encode()
	return transporttest.OpenStream(ctx, h.server.Client(), target, q.Principal, nextMessage)
}

// nextMessage reads the next event that bears data.
func nextMessage(lines *bufio.Reader) (transporttest.Message, error) {
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return transporttest.Message{}, err
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		if end, err := lines.ReadString('\n'); end != "\n" {
			return transporttest.Message{}, fmt.Errorf("data is followed by %q: %w", end, err)
		}
		var m wiretest.Message
		if err := json.Unmarshal([]byte(data), &m); err != nil {
			return transporttest.Message{}, fmt.Errorf("the data %.100q: %w", data, err)
		}
		return forSuite(m)
	}
}

// forSuite translates a message.
func forSuite(m wiretest.Message) (transporttest.Message, error) {
	out := transporttest.Message{Action: transporttest.Action(m.Action), Version: m.Version, More: m.More}
	switch {
	case m.Action == "error" && m.Problem() == unknownBinding:
		return out, io.EOF // of a binding that was removed
	case m.Action == "error":
		return out, transporttest.RefusalOf(m.Status(), m.Payload)
	case string(m.Payload) == `"ok"`:
		out.Action = transporttest.Current
		return out, nil
	}
	return out, json.Unmarshal(m.Payload, &out.Rows)
}

const unknownBinding = "urn:bindery:problem:unknown-binding"
