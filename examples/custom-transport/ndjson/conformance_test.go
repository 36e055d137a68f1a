package ndjson_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
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

// harness serves the transport by a server of its own.
type harness struct {
	transport *ndjson.Transport
	server    *httptest.Server
}

func newHarness() *harness {
	mux := http.NewServeMux()
	h := &harness{transport: ndjson.New(mux, "/stream", ndjson.Config{}), server: httptest.NewUnstartedServer(mux)}
	h.server.Config.RegisterOnShutdown(h.transport.Stop)
	h.server.Start()
	return h
}

func (h *harness) Transport() core.Transport { return h.transport }

func (h *harness) Abilities() transporttest.Abilities {
	return transporttest.Abilities{Streams: true, Resumes: true, Deltas: true}
}

func (h *harness) Page(context.Context, string, int) (transporttest.Page, error) {
	return transporttest.Page{}, transporttest.ErrUnsupported
}

func (h *harness) StopServer(ctx context.Context) error { return h.server.Config.Shutdown(ctx) }

func (h *harness) Close() error {
	h.server.Close()
	return nil
}

func (h *harness) Connect(ctx context.Context, binding, version string) (transporttest.Client, error) {
	// The request outlives the context of connecting.
	life, vanish := context.WithCancel(context.Background())
	stop := context.AfterFunc(ctx, vanish)
	defer stop()
	target := h.server.URL + "/stream/" + url.PathEscape(binding) + "?version=" + url.QueryEscape(version)
	req, err := http.NewRequestWithContext(life, http.MethodGet, target, nil)
	if err != nil {
		vanish()
		return nil, err
	}
	resp, err := h.server.Client().Do(req)
	if err != nil {
		vanish()
		return nil, err
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return &client{body: resp.Body, lines: json.NewDecoder(resp.Body), vanish: vanish}, nil
	case http.StatusNotFound:
		err = transporttest.ErrRefused
	case http.StatusServiceUnavailable:
		err = transporttest.ErrUnavailable
	default:
		err = errors.New("unexpected status")
	}
	_ = resp.Body.Close()
	vanish()
	return nil, fmt.Errorf("%s: %w", resp.Status, err)
}

// client reads one stream.
type client struct {
	body   io.ReadCloser
	lines  *json.Decoder
	vanish context.CancelFunc
	once   sync.Once
	inside bool // a batch has begun
}

func (c *client) Close() {
	c.vanish()
	c.once.Do(func() { _ = c.body.Close() })
}

func (c *client) Next(ctx context.Context) (transporttest.Message, error) {
	stop := context.AfterFunc(ctx, c.vanish)
	defer stop()
	var l struct {
		Op, Version string
		Row, Key    json.RawMessage
	}
	if err := c.lines.Decode(&l); err != nil {
		return transporttest.Message{}, err
	}
	was := c.inside
	c.inside = l.Op != "version"
	switch l.Op {
	case "sync":
		return transporttest.Message{Action: transporttest.Sync, More: true}, nil
	case "put":
		return transporttest.Message{Action: transporttest.Put, Rows: []json.RawMessage{l.Row}, More: true}, nil
	case "delete":
		return transporttest.Message{Action: transporttest.Delete, Rows: []json.RawMessage{l.Key}, More: true}, nil
	case "version":
		if was {
			return transporttest.Message{Action: transporttest.Put, Version: l.Version}, nil
		}
		return transporttest.Message{Action: transporttest.Current, Version: l.Version}, nil
	}
	return transporttest.Message{}, fmt.Errorf("a line with the op %q", l.Op)
}
