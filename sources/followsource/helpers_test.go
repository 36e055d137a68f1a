package followsource_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/sources/followsource"
	"github.com/binderyhq/bindery/transports/rest"
	"github.com/binderyhq/bindery/transports/sse"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick reconnects at once.
var quick = followsource.Config{MinWait: time.Millisecond, MaxWait: 20 * time.Millisecond}

// node is a registry that is served, at an address that outlives it.
type node struct {
	t    wiretest.TB
	reg  *core.Registry
	http *httptest.Server
	addr string
}

// serve starts the registry and serves it, at the address or at a free one.
func serve(t wiretest.TB, reg *core.Registry, addr string) *node {
	t.Helper()
	e := echo.New()
	_ = reg.Serve(sse.New(e.Group("/events"), sse.Config{PageRows: 3, Retry: time.Millisecond}), rest.New(e.Group("/api")))
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if err := reg.Start(ctx); err != nil {
		t.Fatalf("Start: %v", err)
	}
	return listen(t, reg, e, addr)
}

// listen serves a registry that runs.
func listen(t wiretest.TB, reg *core.Registry, h http.Handler, addr string) *node {
	t.Helper()
	n := &node{t: t, reg: reg, http: httptest.NewUnstartedServer(h)}
	if addr != "" {
		_ = n.http.Listener.Close()
		n.http.Listener = wiretest.Listen(t, addr)
	}
	n.http.Start()
	n.addr = n.http.Listener.Addr().String()
	return n
}

// stop ends the node.
func (n *node) stop() {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if err := n.reg.Shutdown(ctx); err != nil {
		n.t.Errorf("Shutdown: %v", err)
	}
	n.http.CloseClientConnections()
	n.http.Close()
}

func (n *node) events() string { return "http://" + n.addr + "/events" }

func quiet() *core.Registry {
	return core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), LoadWait: -1}.NewRegistry()
}

// eventually waits until the condition holds.
func eventually(t wiretest.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// reaches waits until the view has the version and is current.
func reaches(t wiretest.TB, reg *core.Registry, v *live.View, token string) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); v.Version().Token != token || reg.StatusOf(v).State != status.Live; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: version %s of %s: %+v", token, v.ID(), reg.StatusOf(v))
		}
	}
}
