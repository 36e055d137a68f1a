package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/transporttest"
)

// TestConformance holds the transport to the promises of all transports: once
// with clients that ask for the list if it has changed, and once with clients
// that ask for what has changed.
func TestConformance(t *testing.T) {
	for name, deltas := range map[string]bool{"lists": false, "changes": true} {
		t.Run(name, func(t *testing.T) {
			transporttest.Run(t, func() (transporttest.Harness, error) { return newConformance(deltas), nil })
		})
	}
}

var _ transporttest.Asker = (*conformance)(nil)

// conformance serves the transport for the suite.
type conformance struct {
	transport *Transport
	server    *httptest.Server
	deltas    bool
}

func newConformance(deltas bool) *conformance {
	e := echo.New()
	return &conformance{transport: New(e.Group("/api")), server: httptest.NewServer(transporttest.Identify(e)), deltas: deltas}
}

func (h *conformance) Transport() core.Transport { return h.transport }

func (h *conformance) Abilities() transporttest.Abilities {
	return transporttest.Abilities{Resumes: true, Deltas: h.deltas, Pages: true, Families: true, Marks: true}
}

func (h *conformance) StopServer(ctx context.Context) error { return h.server.Config.Shutdown(ctx) }

func (h *conformance) Close() error {
	h.server.Close()
	return nil
}

// get returns the body of an answer with 200, and nil of one with 304.
func (h *conformance) get(ctx context.Context, path string, header http.Header) (body []byte, answer http.Header, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.server.URL+"/api/"+path, nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header = header
	resp, err := h.server.Client().Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusOK:
		body, err = io.ReadAll(resp.Body)
	case http.StatusNotModified:
	default:
		err = transporttest.Refusal(resp)
	}
	return body, resp.Header, err
}

// pathOf returns the path and query of what is asked for, and more parameters.
func pathOf(q transporttest.Request, more ...string) string {
	q.Version = ""
	values := q.Query()
	for i := 0; i < len(more); i += 2 {
		values.Set(more[i], more[i+1])
	}
	return url.PathEscape(q.Binding) + "?" + values.Encode()
}

func headerOf(q transporttest.Request) http.Header {
	return http.Header{transporttest.PrincipalHeader: {q.Principal}}
}

const conformancePage = 60

func (h *conformance) Page(ctx context.Context, binding string, page int) (transporttest.Page, error) {
	return h.PageOf(ctx, transporttest.Request{Binding: binding}, page)
}

func (h *conformance) PageOf(ctx context.Context, q transporttest.Request, page int) (transporttest.Page, error) {
	path := pathOf(q, "limit", strconv.Itoa(conformancePage), "offset", strconv.Itoa((page-1)*conformancePage))
	body, header, err := h.get(ctx, path, headerOf(q))
	if err != nil {
		return transporttest.Page{}, err
	}
	total, err := strconv.Atoi(header.Get("X-Total-Count"))
	if err != nil {
		return transporttest.Page{}, err
	}
	p := transporttest.Page{Pages: (total + conformancePage - 1) / conformancePage}
	return p, json.Unmarshal(body, &p.Rows)
}

func (h *conformance) Connect(ctx context.Context, binding, version string) (transporttest.Client, error) {
	return h.ConnectTo(ctx, transporttest.Request{Binding: binding, Version: version})
}

func (h *conformance) ConnectTo(_ context.Context, q transporttest.Request) (transporttest.Client, error) {
	life, vanish := context.WithCancel(context.Background())
	return &poller{h: h, request: q, version: q.Version, life: life, vanish: vanish}, nil
}

// poller is a client that asks again, and has the answer wait for news.
type poller struct {
	h       *conformance
	request transporttest.Request
	version string
	begun   bool
	pending []transporttest.Message
	life    context.Context
	vanish  context.CancelFunc
}

func (c *poller) Close() { c.vanish() }

func (c *poller) Next(ctx context.Context) (transporttest.Message, error) {
	stop := context.AfterFunc(ctx, c.vanish)
	defer stop()
	for len(c.pending) == 0 {
		if err := c.ask(); err != nil {
			return transporttest.Message{}, err
		}
	}
	m := c.pending[0]
	c.pending = c.pending[1:]
	return m, nil
}

// ask fills pending, unless there was nothing new for a while.
func (c *poller) ask() error {
	header := headerOf(c.request)
	if c.version != "" && !strings.ContainsFunc(c.version, func(r rune) bool { return r <= ' ' || r == '"' || r > '~' }) {
		header.Set("If-None-Match", strconv.Quote(c.version))
	}
	if c.begun {
		header.Set("Prefer", "wait=10")
	}
	body, answer, err := c.h.get(c.life, pathOf(c.request), header)
	switch {
	case err != nil && c.begun && c.life.Err() == nil && !errors.Is(err, transporttest.ErrForbidden):
		return io.EOF // removed, or shut down
	case err != nil:
		return err
	case body == nil && c.begun:
		return nil
	}
	first := !c.begun
	c.begun = true
	if body == nil {
		c.pending = []transporttest.Message{{Action: transporttest.Current, Version: c.version}}
		return nil
	}
	if c.h.deltas && (!first || c.version != "") {
		return c.askChanges()
	}
	return c.take(body, answer)
}

// AskMark implements [transporttest.MarkAsker].
func (c *poller) AskMark(ctx context.Context, mark string) error {
	header := headerOf(c.request)
	header.Set("If-None-Match", strconv.Quote(c.version))
	header.Set("Bindery-Mark", mark)
	body, answer, err := c.h.get(ctx, pathOf(c.request), header)
	if err != nil {
		return err
	}
	if got := answer.Get("Bindery-Mark"); got != mark {
		return fmt.Errorf("the answer bears mark %q", got)
	}
	switch {
	case body == nil:
	case c.h.deltas:
		err = c.askChanges()
	default:
		err = c.take(body, answer)
	}
	c.pending = append(c.pending, transporttest.Message{Action: transporttest.Marked, Version: c.version, Mark: mark})
	return err
}

// take takes a list.
func (c *poller) take(body []byte, answer http.Header) error {
	m := transporttest.Message{Action: transporttest.Sync, Version: strings.Trim(answer.Get("ETag"), `"`)}
	m.Version, _, _ = strings.Cut(m.Version, "-gzip") // the client asks for gzip by itself
	if err := json.Unmarshal(body, &m.Rows); err != nil {
		return fmt.Errorf("the list %.100q: %w", body, err)
	}
	c.version = m.Version
	c.pending = append(c.pending, m)
	return nil
}

// askChanges asks for the messages since the version.
func (c *poller) askChanges() error {
	body, _, err := c.h.get(c.life, pathOf(c.request, "since", c.version), headerOf(c.request))
	if err != nil && c.life.Err() == nil {
		return io.EOF
	}
	var list []struct {
		Action  string
		Payload json.RawMessage
		Version string
		More    bool
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return fmt.Errorf("the changes %.100q: %w", body, err)
	}
	for _, l := range list {
		m := transporttest.Message{Action: transporttest.Action(l.Action), Version: l.Version, More: l.More}
		if string(l.Payload) == `"ok"` {
			m.Action = transporttest.Current
		} else if err := json.Unmarshal(l.Payload, &m.Rows); err != nil {
			return fmt.Errorf("the payload %.100q: %w", l.Payload, err)
		}
		c.version = m.Version
		c.pending = append(c.pending, m)
	}
	return nil
}

var _ transporttest.Writer = (*conformance)(nil)

// Write implements [transporttest.Writer].
func (h *conformance) Write(ctx context.Context, q transporttest.WriteRequest) (string, error) {
	method := map[live.WriteOp]string{live.Insert: http.MethodPost, live.Replace: http.MethodPut, live.Merge: http.MethodPatch, live.Delete: http.MethodDelete}[q.Op]
	path := url.PathEscape(q.Binding)
	if q.Op != live.Insert {
		path += "/" + url.PathEscape(q.Key)
	}
	req, err := http.NewRequestWithContext(ctx, method, h.server.URL+"/api/"+path+"?"+q.Query().Encode(), strings.NewReader(q.Body))
	if err != nil {
		return "", err
	}
	req.Header = headerOf(q.Request)
	req.Header.Set("Content-Type", "application/json")
	if q.Match != "" {
		req.Header.Set("If-Match", q.Match)
	}
	resp, err := h.server.Client().Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	resp.Header.Del("Date")
	resp.Header.Del("Bindery-Mark") // of this node alone
	return fmt.Sprintf("%s %v %s", resp.Status, resp.Header, body), err
}
