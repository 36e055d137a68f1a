package wireharness

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/transporttest"
)

// Server serves a transport for the suite. A harness embeds it, and adds how clients
// connect.
type Server struct {
	*httptest.Server
	can       transporttest.Abilities
	transport core.Transport
}

// Serve starts a server for the transport that mount returns.
func Serve(can transporttest.Abilities, mount func(*echo.Echo) core.Transport) Server {
	e := echo.New()
	transport := mount(e)
	return Server{Server: httptest.NewServer(transporttest.Identify(e)), can: can, transport: transport}
}

// Transport implements [transporttest.Harness].
func (s Server) Transport() core.Transport { return s.transport }

// Abilities implements [transporttest.Harness].
func (s Server) Abilities() transporttest.Abilities { return s.can }

// StopServer implements [transporttest.Harness].
func (s Server) StopServer(ctx context.Context) error { return s.Config.Shutdown(ctx) }

// Close implements [transporttest.Harness].
func (s Server) Close() error {
	s.Server.Close()
	return nil
}

// Reader translates the messages of one client about one binding.
type Reader struct{ begun bool }

// Message translates a message. It returns [io.EOF] if the binding has been removed,
// and the refusal for any other error message.
func (r *Reader) Message(m wiretest.Message) (transporttest.Message, error) {
	out := transporttest.Message{Action: transporttest.Action(m.Action), Version: m.Version, More: m.More}
	switch {
	case m.Action == "error" && m.Problem() == unknownBinding && r.begun:
		return out, io.EOF // it was removed
	case m.Action == "error":
		return out, transporttest.RefusalOf(m.Status(), m.Payload)
	case m.Action == "mark":
		out.Mark = m.Mark
		return out, nil
	}
	r.begun = true
	if string(m.Payload) == `"ok"` {
		out.Action = transporttest.Current
		return out, nil
	}
	return out, json.Unmarshal(m.Payload, &out.Rows)
}

const unknownBinding = "urn:bindery:problem:unknown-binding"

// Page translates the answer to a look at a page.
func Page(m wiretest.Message, page int) (transporttest.Page, error) {
	switch {
	case m.Action == "error":
		return transporttest.Page{}, transporttest.RefusalOf(m.Status(), m.Payload)
	case m.Action != "page" || m.Page != page:
		return transporttest.Page{}, fmt.Errorf("asked for page %d, got %+v", page, m)
	}
	p := transporttest.Page{Pages: m.Pages}
	return p, json.Unmarshal(m.Payload, &p.Rows)
}
