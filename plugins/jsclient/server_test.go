package jsclient_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/plugins/jsclient"
	"github.com/binderyhq/bindery/transports/rest"
	"github.com/binderyhq/bindery/transports/sse"
	"github.com/binderyhq/bindery/transports/websocket"
)

// product is a row with what is hard to order: text beyond the basic plane,
// nulls and times.
type product struct {
	ID    int       `json:"id"`
	Name  string    `json:"name"`
	Price *float64  `json:"price"`
	Seen  time.Time `json:"seen"`
}

// track is a row with a key of two columns, neither of them "id".
type track struct {
	List  int    `json:"list"`
	Track int    `json:"track"`
	Title string `json:"title"`
}

// shop is tables that outlive the servers that show them, at one address.
type shop struct {
	t        *testing.T
	products *coretest.Table[product]
	tracks   *coretest.Table[track]
	addr     string
	pages    map[string]string // path → what is served there, beside the shop
	noSocket atomic.Bool       // WebSockets are refused, as by some proxies
	history  history
	denied   atomic.Pointer[string] // the binding that nobody may see; nil for none
	asked    atomic.Int64           // times that somebody asked for it
	token    atomic.Pointer[string] // that requests have to bear; nil for none
	*server                         // nil while there is none
}

// server is one run of a server.
type server struct {
	reg    *core.Registry
	source *coretest.Source
	http   *http.Server
	link   *link
	done   chan struct{}
}

func openShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{
		t:        t,
		products: coretest.NewTable[product]("products", "id"),
		tracks:   coretest.NewTable[track]("tracks", "list", "track"),
		addr:     "127.0.0.1:0",
		pages:    map[string]string{"/page": "<!doctype html><meta charset=utf-8><title>page</title><body>"},
	}
	s.history.states = map[string]string{}
	return s
}

// start serves the shop, at the address that it had before.
func (s *shop) start() {
	s.t.Helper()
	e := echo.New()
	srv := &server{
		reg:    core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}.NewRegistry(),
		source: &coretest.Source{},
		http:   &http.Server{Handler: e, ReadHeaderTimeout: 10 * time.Second},
		done:   make(chan struct{}),
	}
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if c.Path() == "/ws" && s.noSocket.Load() {
				return echo.NewHTTPError(http.StatusForbidden)
			}
			return next(c)
		}
	})
	bears := func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if token := s.token.Load(); token != nil && c.Request().Header.Get("Authorization") != "Bearer "+*token {
				return echo.NewHTTPError(http.StatusUnauthorized)
			}
			return next(c)
		}
	}
	for path, body := range s.pages {
		e.GET(path, func(c echo.Context) error {
			kind := "text/html; charset=utf-8"
			if len(path) > 3 && path[len(path)-3:] == ".js" {
				kind = "text/javascript; charset=utf-8"
			}
			return c.Blob(http.StatusOK, kind, []byte(body))
		})
	}
	_ = srv.reg.Add(
		core.Bind[product]("products", s.products, core.OrderBy("name"), core.Writable()),
		core.Bind[product]("cheapest", s.products, core.OrderBy("price"), core.Limit(3)),
		core.Bind[product]("latest", s.products, core.OrderBy("-seen")),
		core.Bind[track]("tracks", s.tracks),
		core.BindFamily[track]("list", s.tracks, core.Where(filter.Eq("list", filter.Param("list")))),
		core.BindFamily[product]("priced", s.products, core.Where(filter.Eq("price", filter.Param("price")))),
	)
	_ = srv.reg.Authorize(core.AuthorizerFunc(func(_ context.Context, a core.Access) (core.Decision, error) {
		if name := s.denied.Load(); name != nil && *name == a.Binding {
			s.asked.Add(1)
			return core.Deny(), nil
		}
		return core.Allow(), nil
	}))
	_ = srv.reg.Watch(srv.source)
	_ = srv.reg.Use(jsclient.New(e.Group("/bindery")), &s.history)
	// Small pages, so that every sync takes several messages.
	_ = srv.reg.Serve(rest.New(e.Group("/api", bears)), sse.New(e.Group("/events", bears), sse.Config{PageRows: 7}), websocket.New(e.Group("/ws", websocket.BearerHeader, bears), websocket.Config{PageRows: 7}))
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if err := srv.reg.Start(ctx); err != nil {
		s.t.Fatalf("Start: %v", err)
	}
	ln := wiretest.Listen(s.t, s.addr)
	s.addr = ln.Addr().String()
	srv.link = &link{Listener: ln, conns: map[*conn]struct{}{}}
	go func() {
		defer close(srv.done)
		if err := srv.http.Serve(srv.link); !errors.Is(err, http.ErrServerClosed) {
			s.t.Errorf("Serve: %v", err)
		}
	}()
	s.server = srv
}

// kill ends the server as a crash does: nobody is told anything.
func (s *shop) kill() {
	s.t.Helper()
	srv := s.server
	if srv == nil {
		return
	}
	s.server = nil
	_ = srv.http.Close()
	srv.link.each((*conn).cut)
	<-srv.done
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if err := srv.reg.Shutdown(ctx); err != nil {
		s.t.Errorf("Shutdown: %v", err)
	}
}

// report waits until the changes show, where there is a server to show them.
func (s *shop) report(changes ...driver.Change) {
	s.t.Helper()
	if s.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if err := s.source.Report(ctx, changes...); err != nil {
		s.t.Fatalf("reporting a change: %v", err)
	}
}

func (s *shop) put(rows ...product) { s.t.Helper(); s.report(s.products.Put(rows...)) }

func (s *shop) remove(ids ...int) {
	s.t.Helper()
	keys := make([]driver.Key, len(ids))
	for i, id := range ids {
		keys[i] = driver.KeyOf(id)
	}
	s.report(s.products.Remove(keys...))
}

// now returns the rows of a binding as JSON, and their version.
func (s *shop) now(binding string) (rows, version string) {
	v, ok := s.reg.Lookup(binding)
	if !ok {
		s.t.Fatalf("there is no binding %q", binding)
	}
	snap := v.Snapshot()
	return rowsOf(snap), snap.Version().Token
}

func rowsOf(snap *live.Snapshot) string {
	list := []json.RawMessage{}
	for r := range snap.Rows() {
		list = append(list, r.JSON())
	}
	b, err := json.Marshal(list)
	if err != nil {
		panic(err) // rows are JSON
	}
	return string(b)
}

// history is a plugin that notes what each version of each binding held.
type history struct {
	mu     sync.Mutex // guards what follows
	states map[string]string
}

var _ core.PublishObserver = (*history)(nil)

func (*history) Name() string                                { return "history" }
func (*history) Start(context.Context, *core.Registry) error { return nil }
func (*history) Shutdown(context.Context) error              { return nil }

func (h *history) Published(v *live.View, _ *live.Event) {
	snap := v.Snapshot() // the version published: nobody else publishes meanwhile
	rows := rowsOf(snap)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.states[snap.Version().Token] = rows
}

func (h *history) at(token string) (rows string, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	rows, known = h.states[token]
	return rows, known
}

// link is a listener whose connections can be cut, or fall silent.
type link struct {
	net.Listener
	mu    sync.Mutex // guards conns
	conns map[*conn]struct{}
}

func (l *link) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	wrapped := &conn{Conn: c, link: l, closed: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[wrapped] = struct{}{}
	return wrapped, nil
}

func (l *link) each(do func(*conn)) {
	l.mu.Lock()
	conns := make([]*conn, 0, len(l.conns))
	for c := range l.conns {
		conns = append(conns, c)
	}
	l.mu.Unlock()
	for _, c := range conns {
		do(c)
	}
}

type conn struct {
	net.Conn
	link   *link
	silent atomic.Bool
	once   sync.Once
	closed chan struct{}
}

// cut ends the connection without a word.
func (c *conn) cut() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// hush has nothing come through any more, in either direction, and tells nobody.
func (c *conn) hush() { c.silent.Store(true) }

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == nil && c.silent.Load() {
		<-c.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	if c.silent.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *conn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.link.mu.Lock()
		delete(c.link.conns, c)
		c.link.mu.Unlock()
	})
	return c.Conn.Close()
}
