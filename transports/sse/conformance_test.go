package sse_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/sse"
	"github.com/binderyhq/bindery/transports/transporttest"
	"github.com/binderyhq/bindery/transports/transporttest/wireharness"
)

// TestConformance holds the transport to the promises of all transports.
func TestConformance(t *testing.T) {
	transporttest.Run(t, func() (transporttest.Harness, error) { return newHarness(), nil })
}

var _ transporttest.Asker = suiteHarness{}

// suiteHarness serves the transport for the suite.
type suiteHarness struct{ wireharness.Server }

func newHarness() suiteHarness {
	can := transporttest.Abilities{Streams: true, Resumes: true, Deltas: true, Families: true}
	return suiteHarness{wireharness.Serve(can, func(e *echo.Echo) core.Transport { return sse.New(e.Group("/events")) })}
}

func (h suiteHarness) Page(context.Context, string, int) (transporttest.Page, error) {
	return transporttest.Page{}, transporttest.ErrUnsupported
}

func (h suiteHarness) PageOf(context.Context, transporttest.Request, int) (transporttest.Page, error) {
	return transporttest.Page{}, transporttest.ErrUnsupported
}

func (h suiteHarness) Connect(ctx context.Context, binding, version string) (transporttest.Client, error) {
	return h.ConnectTo(ctx, transporttest.Request{Binding: binding, Version: version})
}

func (h suiteHarness) ConnectTo(ctx context.Context, q transporttest.Request) (transporttest.Client, error) {
	target := h.URL + "/events/" + url.PathEscape(q.Binding) + "?" + q.Query().Encode()
	reader := &wireharness.Reader{}
	return transporttest.OpenStream(ctx, h.Client(), target, q.Principal, func(lines *bufio.Reader) (transporttest.Message, error) {
		m, err := nextMessage(lines)
		if err != nil {
			return transporttest.Message{}, err
		}
		return reader.Message(m)
	})
}

// nextMessage reads the next event that bears data.
func nextMessage(lines *bufio.Reader) (m wiretest.Message, err error) {
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return m, err
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		if end, err := lines.ReadString('\n'); end != "\n" {
			return m, fmt.Errorf("data is followed by %q: %w", end, err)
		}
		if err := json.Unmarshal([]byte(data), &m); err != nil {
			return m, fmt.Errorf("the data %.100q: %w", data, err)
		}
		return m, nil
	}
}
