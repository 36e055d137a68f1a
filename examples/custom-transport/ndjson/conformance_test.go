package ndjson_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/examples/custom-transport/ndjson"
	"github.com/binderyhq/bindery/transports/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestConformance holds the transport to the promises of all transports.
func TestConformance(t *testing.T) {
	transporttest.Run(t, func() (transporttest.Harness, error) { return newHarness(), nil })
}

var _ transporttest.Asker = (*harness)(nil)

// harness serves the transport by a server of its own.
type harness struct {
	transport *ndjson.Transport
	server    *httptest.Server
}

func newHarness() *harness {
	mux := http.NewServeMux()
	h := &harness{transport: ndjson.New(mux, "/stream"), server: httptest.NewUnstartedServer(transporttest.Identify(mux))}
	h.server.Config.RegisterOnShutdown(h.transport.Stop)
	h.server.Start()
	return h
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
	target := h.server.URL + "/stream/" + url.PathEscape(q.Binding) + "?" + q.Query().Encode()
	inside := false // a batch has begun
	return transporttest.OpenStream(ctx, h.server.Client(), target, q.Principal, func(body *bufio.Reader) (transporttest.Message, error) {
		m, err := nextMessage(body)
		if m.Action == transporttest.Current && inside {
			m.Action = transporttest.Put // the end of a batch, without a row
		}
		inside = m.More
		return m, err
	})
}

// nextMessage reads a line. One that bears the version has it mean that the
// client is current, as it does outside of a batch.
func nextMessage(body *bufio.Reader) (transporttest.Message, error) {
	for {
		line, err := body.ReadBytes('\n')
		if err != nil {
			return transporttest.Message{}, err
		}
		if len(line) == 1 {
			continue // it keeps the connection open
		}
		var l struct {
			Op, Version string
			Row, Key    json.RawMessage
		}
		if err := json.Unmarshal(line, &l); err != nil {
			return transporttest.Message{}, fmt.Errorf("the line %.100q: %w", line, err)
		}
		switch l.Op {
		case "sync":
			return transporttest.Message{Action: transporttest.Sync, More: true}, nil
		case "put":
			return transporttest.Message{Action: transporttest.Put, Rows: []json.RawMessage{l.Row}, More: true}, nil
		case "delete":
			return transporttest.Message{Action: transporttest.Delete, Rows: []json.RawMessage{l.Key}, More: true}, nil
		case "version":
			return transporttest.Message{Action: transporttest.Current, Version: l.Version}, nil
		}
		return transporttest.Message{}, fmt.Errorf("a line with the op %q", l.Op)
	}
}
