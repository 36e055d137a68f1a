package main

// The interop tests drive the shop, or a server like it, with programs that
// others wrote: what two ends of our own agree upon proves little.

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/transports/rest"
	"github.com/binderyhq/bindery/transports/sse"
	"github.com/binderyhq/bindery/transports/websocket"
)

// daemon is a server that the test runs in the foreground.
type daemon struct {
	t      *testing.T
	socket string // the Unix socket that it listens at: no port to race for
	log    coretest.Output
	done   chan struct{} // closed when it has ended, after err was set
	err    error
}

// startDaemon starts a server until the end of the test, and waits until it
// listens at the socket.
func startDaemon(t *testing.T, socket, path string, args ...string) *daemon {
	t.Helper()
	d := &daemon{t: t, socket: socket, done: make(chan struct{})}
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &d.log, &d.log
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		d.err = cmd.Wait()
		close(d.done)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-d.done:
		case <-time.After(60 * time.Second):
			t.Errorf("%s did not end", filepath.Base(path))
			_ = cmd.Process.Kill()
			<-d.done
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(path), d.log.String())
		}
	})
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("unix", socket); err == nil {
			_ = c.Close()
			return d
		}
		select {
		case <-d.done:
			t.Fatalf("%s did not start: %v", filepath.Base(path), d.err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen", filepath.Base(path))
		}
	}
}

// client returns a client that asks the daemon, whatever the URL's host, as it
// is told to and not as Go would by itself.
func (d *daemon) client() *http.Client {
	transport := &http.Transport{DisableCompression: true, DialContext: d.dial}
	d.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (d *daemon) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", d.socket)
}

// shortDir makes a directory whose path is short enough for sockets in it.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bindery")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillIn writes a file of testdata/interop into the directory, as a template
// with the data, and returns its path.
func fillIn(t *testing.T, dir, name string, data any) string {
	t.Helper()
	tmpl, err := template.ParseFiles(filepath.Join("testdata", "interop", name))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmp.Or(tmpl.Execute(f, data), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// item is a row of the origin. The note makes bodies long enough to compress.
type item struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
	Note string `json:"note"`
}

// asked is one request as it reached the origin, and its answer's status.
type asked struct {
	method, path            string
	noneMatch, since, match string // its conditions
	status                  int
}

// origin is a server behind a shared cache. Its binding items is writable, and
// its answers may be kept for a second; those of its binding fresh may not.
type origin struct {
	t      *testing.T
	addr   string // host:port
	table  *coretest.Table[item]
	source *coretest.Source
	reg    *core.Registry

	mu   sync.Mutex
	seen []asked // guarded by mu
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	o := &origin{t: t, table: coretest.NewTable[item]("items", "id"), source: &coretest.Source{}}
	for id := range int64(20) {
		o.table.Put(item{id + 1, "first", strings.Repeat("vinyl ", 20)})
	}
	e := echo.New()
	e.Use(o.record)
	o.reg = core.Config{Logger: slog.New(slog.DiscardHandler)}.NewRegistry()
	for _, err := range []error{
		o.reg.Add(core.Bind("items", o.table, core.Writable()), core.Bind("fresh", o.table, core.Writable())),
		o.reg.Watch(o.source),
		o.reg.Serve(
			rest.New(e.Group("/api"), rest.Config{CacheControl: map[string]string{"": "max-age=1", "fresh": "no-cache"}}),
			sse.New(e.Group("/events")),
			websocket.New(e.Group("/ws")),
		),
		o.reg.Start(t.Context()),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(e)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		if err := o.reg.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	o.addr = server.Listener.Addr().String()
	return o
}

func (o *origin) record(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		err := next(c)
		h := c.Request().Header
		o.mu.Lock()
		defer o.mu.Unlock()
		o.seen = append(o.seen, asked{
			method: c.Request().Method, path: c.Request().URL.Path, status: c.Response().Status,
			noneMatch: h.Get("If-None-Match"), match: h.Get("If-Match"), since: h.Get("If-Modified-Since"),
		})
		return err
	}
}

// was reports whether a request like that has reached the origin.
func (o *origin) was(like func(asked) bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, a := range o.seen {
		if like(a) {
			return true
		}
	}
	return false
}

// rename writes to the table behind the server's back; it returns when the
// bindings show it.
func (o *origin) rename(id int64, name string) {
	o.t.Helper()
	if err := o.source.Report(o.t.Context(), o.table.Put(item{id, name, strings.Repeat("vinyl ", 20)})); err != nil {
		o.t.Fatal(err)
	}
}

// body returns the list as it is now, and its token.
func (o *origin) body() (body []byte, token string) {
	o.t.Helper()
	v, ok := o.reg.Lookup("items")
	if !ok {
		o.t.Fatal("the origin has no items")
	}
	s := v.Snapshot()
	return s.Body(), s.Version().Token
}

// peer is a server as one client sees it.
type peer struct {
	t      *testing.T
	url    string
	client *http.Client
}

// through is the origin as it is seen through a proxy.
func (o *origin) through(d *daemon) *peer { return &peer{o.t, "http://shop/", d.client()} }

// do makes a request and returns status, headers and body.
func (p *peer) do(method, path string, header http.Header, body string) (int, http.Header, []byte) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := p.client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, b
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// rowsOf reads a list of rows by their id.
func rowsOf(t *testing.T, body []byte) map[int]json.RawMessage {
	t.Helper()
	var list []json.RawMessage
	if err := json.Unmarshal(body, &list); err != nil {
		t.Fatalf("%.200s: %v", body, err)
	}
	rows := make(map[int]json.RawMessage, len(list))
	for _, row := range list {
		var key struct{ ID int }
		if err := json.Unmarshal(row, &key); err != nil || key.ID == 0 {
			t.Fatalf("row %.200s: %v", row, err)
		}
		rows[key.ID] = row
	}
	return rows
}
