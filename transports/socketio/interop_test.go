package socketio_test

// The interop tests drive the transport with the stock clients: what two ends of
// our own agree upon proves little.

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/coretest/installed"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/socketio"
)

// stockWays are the transports that stock clients are given, and the one on which
// each comes to be.
var stockWays = []struct {
	name       string
	transports []string
	finally    string
}{
	{polling, []string{polling}, polling},
	{websocket, []string{websocket}, websocket},
	{upgraded, []string{polling, websocket}, websocket},
}

// shop is a server that can be stopped and started again at its address.
type shop struct {
	t     *testing.T
	cfg   socketio.Config
	auth  core.Authorizer // nil for none
	addr  string
	pages http.Handler // beside the transport, nil for none

	table    *coretest.Table[wiretest.Item]
	source   *coretest.Source
	products *core.Binding[wiretest.Item]
	reg      *core.Registry
	sio      *socketio.Transport
	server   *http.Server
	served   chan struct{}
}

// newShop makes a shop of 25 products. It pings its clients often: python's sometimes
// closes without saying so, and then does not end before its poll is answered. It also
// does not always answer that the server goes away, and then waits until the server has
// given it up: WriteTimeout and PingTimeout must not be long. An upgrade has the time that
// a busy machine takes.
func newShop(t *testing.T, cfg socketio.Config) *shop {
	cfg.PingInterval, cfg.PingTimeout = cmp.Or(cfg.PingInterval, 500*time.Millisecond), cmp.Or(cfg.PingTimeout, 10*time.Second)
	cfg.HandshakeTimeout, cfg.ConnectTimeout = time.Minute, 2*time.Minute
	s := &shop{t: t, cfg: cfg, addr: "127.0.0.1:0", table: coretest.NewTable[wiretest.Item]("products", "id")}
	s.table.Put(items(1, 25, "")...)
	return s
}

// open starts the shop, at the address where it was before.
func (s *shop) open() {
	s.t.Helper()
	s.source = &coretest.Source{}
	s.reg = core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}.NewRegistry()
	s.products = core.Bind[wiretest.Item]("products", s.table)
	e := echo.New()
	s.sio = socketio.New(e.Group("/socket.io"), s.cfg)
	_ = s.reg.Add(s.products,
		core.Bind[wiretest.Item]("first", s.table, core.Limit(3)),
		core.BindFamily[wiretest.Item]("named", s.table, core.Where(filter.Eq("name", filter.Param("name"))))) // problems come from Start
	_ = s.reg.Watch(s.source)
	_ = s.reg.Serve(s.sio)
	if s.auth != nil {
		_ = s.reg.Authorize(s.auth)
	}
	if s.pages != nil {
		e.GET("/*", echo.WrapHandler(s.pages))
	}
	if err := s.reg.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	listener := wiretest.Listen(s.t, s.addr)
	s.addr = listener.Addr().String()
	server, served := &http.Server{Handler: e, ReadHeaderTimeout: time.Minute}, make(chan struct{})
	s.server, s.served = server, served
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	s.t.Cleanup(s.close)
}

func (s *shop) url() string { return "http://" + s.addr }

// close ends the shop as a program does.
func (s *shop) close() {
	if s.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if err := s.reg.Shutdown(ctx); err != nil {
		s.t.Errorf("Shutdown: %v", err)
	}
	_ = s.server.Close()
	<-s.served
	s.server = nil
}

// put writes rows and waits until they show.
func (s *shop) put(rows ...wiretest.Item) {
	s.t.Helper()
	if err := s.source.Report(s.t.Context(), s.table.Put(rows...)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) token() string { return s.products.Version().Token }

// program is a stock client's program.
type program struct {
	t       wiretest.TB
	name    string
	in      io.WriteCloser
	reports chan report
	end     func()
}

// report is what a program tells.
type report struct {
	ID      int
	On      string
	Over    string
	Why     string
	Event   string
	Version string
	Message json.RawMessage
	Answer  json.RawMessage
	Data    json.RawMessage
}

// startNode starts the npm client.
func startNode(t *testing.T) *program {
	t.Helper()
	node := installed.Program(t, "apt-get install nodejs npm", "node")
	// Node looks for packages beside the script.
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "interop"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(installed.NodePackages(t, "socket.io-client@4", "socket.io-client"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	return start(t, "socket.io-client", node, filepath.Join(dir, "client.mjs"))
}

// startPython starts Debian's python3-socketio.
func startPython(t *testing.T) *program {
	t.Helper()
	const install = "apt-get install python3-socketio python3-requests python3-websocket"
	// Debian's packages belong to Debian's Python, whatever PATH has first.
	python := installed.Program(t, install, "/usr/bin/python3")
	if err := exec.CommandContext(t.Context(), python, "-c", "import socketio, requests, websocket").Run(); err != nil {
		installed.Missing(t, "no python3-socketio: install it ("+install+")")
	}
	return start(t, "python3-socketio", python, filepath.Join("testdata", "interop", "client.py"))
}

func start(t *testing.T, name string, command ...string) *program {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, name: name, in: in, reports: make(chan report)}
	ended := make(chan struct{})
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(p.reports)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			var r report
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				t.Errorf("%s reports %.300q: %v", name, lines.Text(), err)
				continue
			}
			select {
			case p.reports <- r:
			case <-ended:
			}
		}
	}()
	p.end = sync.OnceFunc(func() {
		defer cancel()
		close(ended)
		_ = in.Close() // which ends it
		<-read
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s ended with %v: %s", name, err, stderr.String())
		}
	})
	t.Cleanup(p.end)
	return p
}

// do gives a command.
func (p *program) do(command string, with map[string]any) {
	p.t.Helper()
	with["do"] = command
	line, err := json.Marshal(with)
	if err != nil {
		p.t.Fatalf("%v", err)
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		p.t.Fatalf("telling %s: %v", p.name, err)
	}
}

// next returns the next report of the kind. Those of the other kinds and upgrades
// are passed over.
func (p *program) next(on string, others ...string) report {
	p.t.Helper()
	timer := time.NewTimer(time.Minute)
	defer timer.Stop()
	for {
		select {
		case r, ok := <-p.reports:
			switch {
			case !ok:
				p.t.Fatalf("%s ended before %s", p.name, on)
			case r.On == on:
				return r
			case r.On != "upgrade" && !slices.Contains(others, r.On): // which may come at any time
				p.t.Fatalf("%s waiting for %s: %+v %s", p.name, on, r, r.Message)
			}
		case <-timer.C:
			p.t.Fatalf("%s: in vain waited for %s", p.name, on)
		}
	}
}

// message returns the next message, which is about the event.
func (p *program) message(event string, others ...string) wiretest.Message {
	p.t.Helper()
	r := p.next("message", others...)
	var m wiretest.Message
	if err := json.Unmarshal(r.Message, &m); err != nil {
		p.t.Fatalf("message %.300s: %v", r.Message, err)
	}
	if r.Event != event || m.Event != event {
		p.t.Fatalf("a message of %q about %q, want %q", r.Event, m.Event, event)
	}
	return m
}

// follow applies messages about the products until the client is at the current
// version, and compares.
func (p *program) follow(s *shop, cl *wiretest.Client) {
	p.t.Helper()
	for cl.Version != s.token() {
		for more := true; more; {
			m := p.message("products")
			if err := cl.Take(m); err != nil {
				p.t.Fatalf("%s: %v", p.name, err)
			}
			more = m.More
		}
	}
	var want []wiretest.Item
	for row := range s.products.View.Snapshot().Rows() {
		var it wiretest.Item
		if err := json.Unmarshal(row.JSON(), &it); err != nil {
			p.t.Fatalf("%v", err)
		}
		want = append(want, it)
	}
	if got := cl.Items(); !slices.Equal(got, want) {
		p.t.Errorf("%s has %v, want %v", p.name, got, want)
	}
}
