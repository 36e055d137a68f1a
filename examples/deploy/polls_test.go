package deploy

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/coretest/installed"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/transports/rest"
	"github.com/binderyhq/bindery/transports/sse"
)

// polled is an origin whose binding may be shared. It counts the polls that reach
// it, by the version that they ask from.
type polled struct {
	addr   string
	table  *coretest.Table[product]
	source *coretest.Source
	reg    *core.Registry

	mu    sync.Mutex
	asked map[string]int // guarded by mu
}

func startPolled(tb testing.TB) *polled {
	tb.Helper()
	o := &polled{table: coretest.NewTable[product]("products", "id"), source: &coretest.Source{}, asked: map[string]int{}}
	for id := range 20 {
		o.table.Put(product{id + 1, "first", ""})
	}
	e := echo.New()
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if since := c.QueryParam("since"); since != "" {
				o.mu.Lock()
				o.asked[since]++
				o.mu.Unlock()
			}
			return next(c)
		}
	})
	o.reg = core.Config{Logger: slog.New(slog.DiscardHandler)}.NewRegistry()
	o.reg.Add(core.Bind[product]("products", o.table, core.OrderBy("id")))
	o.reg.Watch(o.source)
	o.reg.Serve(rest.New(e.Group("/api"), rest.Config{SharedMaxAge: time.Minute}), sse.New(e.Group("/events")))
	if err := o.reg.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	server := httptest.NewServer(e)
	tb.Cleanup(func() {
		_ = o.reg.Shutdown(context.Background())
		server.CloseClientConnections()
		server.Close()
	})
	o.addr = server.Listener.Addr().String()
	return o
}

// change commits one change, and returns the version that it led to.
func (o *polled) change(tb testing.TB, name string) string {
	tb.Helper()
	o.table.Put(product{3, name, ""})
	if err := o.source.Report(tb.Context(), driver.Change{Table: o.table.Name()}); err != nil {
		tb.Fatal(err)
	}
	return o.version(tb)
}

func (o *polled) version(tb testing.TB) string {
	tb.Helper()
	view, ok := o.reg.Lookup("products")
	if !ok {
		tb.Fatal("no products")
	}
	return view.Snapshot().Version().Token
}

// polls returns how many polls from the version have reached the origin.
func (o *polled) polls(version string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked[version]
}

// audience is clients that follow the binding. It says who has reached which
// version, and when.
type audience struct {
	arrived chan arrival // has room for all
	stop    context.CancelFunc
	left    sync.WaitGroup
}

type arrival struct {
	version string
	at      time.Time
	err     error
}

func newAudience(tb testing.TB, n int, follow func(ctx context.Context, client int, reached func(version string)) error) *audience {
	ctx, stop := context.WithCancel(tb.Context())
	a := &audience{arrived: make(chan arrival, 4*n), stop: stop}
	for i := range n {
		a.left.Go(func() {
			err := follow(ctx, i, func(version string) { a.arrived <- arrival{version: version, at: time.Now()} })
			if err != nil && ctx.Err() == nil {
				a.arrived <- arrival{err: err}
			}
		})
	}
	tb.Cleanup(a.leave)
	return a
}

func (a *audience) leave() {
	a.stop()
	a.left.Wait()
}

// all waits until n clients have reached the version, and returns how long after
// begun each did.
func (a *audience) all(tb testing.TB, n int, version string, begun time.Time) []time.Duration {
	tb.Helper()
	var late []time.Duration
	deadline := time.After(2 * time.Minute)
	for len(late) < n {
		select {
		case r := <-a.arrived:
			if r.err != nil {
				tb.Fatal(r.err)
			}
			if r.version == version {
				late = append(late, r.at.Sub(begun))
			}
		case <-deadline:
			tb.Fatalf("%d of %d clients have reached the version", len(late), n)
		}
	}
	return late
}

// poll follows by asking again and again, each time from where it stands.
func poll(client *http.Client, base string, wait int) func(context.Context, int, func(string)) error {
	return func(ctx context.Context, _ int, reached func(string)) error {
		since := "0"
		for ctx.Err() == nil {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/products?since="+url.QueryEscape(since)+fmt.Sprintf("&wait=%d", wait), nil)
			if err != nil {
				return err
			}
			res, err := client.Do(r)
			if err != nil {
				return err
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err != nil {
				return err
			}
			var batch []struct {
				Version string `json:"version"`
			}
			if err := json.Unmarshal(body, &batch); err != nil || res.StatusCode != http.StatusOK || len(batch) == 0 {
				return fmt.Errorf("%d: %.200s (%v)", res.StatusCode, body, err)
			}
			if v := batch[len(batch)-1].Version; v != since {
				since = v
				reached(v)
			}
		}
		return nil
	}
}

// listen follows the event stream.
func listen(client *http.Client, base string) func(context.Context, int, func(string)) error {
	return func(ctx context.Context, _ int, reached func(string)) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/events/products", nil)
		if err != nil {
			return err
		}
		res, err := client.Do(r)
		if err != nil {
			return err
		}
		defer func() { _ = res.Body.Close() }()
		lines := bufio.NewScanner(res.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
				reached(id)
			}
		}
		return cmp.Or(lines.Err(), io.ErrUnexpectedEOF)
	}
}

// cache is a shared cache in front of the origin, of which there may be several.
type cache struct {
	name, install, program string
	start                  func(tb testing.TB, p *proxy, program, dir, origin string)
}

// Each cache runs as its file says, without TLS, and with as many connections as
// the crowd needs.
var caches = []cache{
	{"nginx", "apt-get install nginx-light", "nginx", func(tb testing.TB, p *proxy, program, dir, origin string) {
		site := configured(tb, dir, "nginx-polls.conf", "listen 443 ssl http2", "listen unix:"+p.socket+" backlog=16384", "/var/cache/nginx/shop", dir+"/cache", "10.0.0.1:8080", origin,
			"ssl_certificate ", "# ssl_certificate ", "ssl_certificate_key ", "# ssl_certificate_key ")
		main := filepath.Join(dir, "main.conf")
		text := fmt.Sprintf("daemon off;\nmaster_process off;\npid %s/pid;\nerror_log stderr;\nworker_rlimit_nofile 20000;\nevents { worker_connections 19000; }\nhttp {\naccess_log off;\n", dir)
		for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
			text += fmt.Sprintf("%s_temp_path %s/%s;\n", kind, dir, kind)
		}
		if err := os.WriteFile(main, []byte(text+"include "+site+";\n}\n"), 0o600); err != nil {
			tb.Fatal(err)
		}
		p.run(tb, nil, program, "-e", "stderr", "-p", dir, "-c", main)
	}},
	{"varnish", "apt-get install varnish", "varnishd", func(tb testing.TB, p *proxy, program, dir, origin string) {
		host, port, err := net.SplitHostPort(origin)
		if err != nil {
			tb.Fatal(err)
		}
		vcl := configured(tb, dir, "polls.vcl", "10.0.0.1", host, "8080", port)
		p.run(tb, nil, program, "-j", "none", "-F", "-n", filepath.Join(dir, "work"), "-a", p.socket, "-T", "none", "-s", "malloc,64m", "-f", vcl,
			"-p", "listen_depth=16384", "-p", "thread_pool_max=6000")
	}},
}

// front starts the cache, and returns a client that asks through it.
func (c cache) front(tb testing.TB, o *polled) *http.Client {
	tb.Helper()
	dir := shortDir(tb)
	p := &proxy{socket: filepath.Join(dir, "socket")}
	c.start(tb, p, installed.Program(tb, c.install, c.program), dir, o.addr)
	return crowd(tb, p.dial)
}

// crowd is a client with as many connections as it is asked for.
func crowd(tb testing.TB, dial func(ctx context.Context, network, addr string) (net.Conn, error)) *http.Client {
	transport := &http.Transport{DialContext: dial, DisableCompression: true, MaxIdleConnsPerHost: 20000, WriteBufferSize: 1 << 10, ReadBufferSize: 1 << 10}
	tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// TestPollersShareRequests: however many poll through a cache, the origin is asked
// at most twice from each version, also when changes follow each other quickly.
func TestPollersShareRequests(t *testing.T) {
	const pollers = 100
	for _, c := range caches {
		t.Run(c.name, func(t *testing.T) {
			o := startPolled(t)
			client := c.front(t, o)
			versions := []string{"0", o.version(t)}
			a := newAudience(t, pollers, poll(client, "http://shop.example", 20))
			a.all(t, pollers, versions[1], time.Now())
			for i := range 5 {
				versions = append(versions, o.change(t, fmt.Sprintf("alone %d", i)))
				a.all(t, pollers, versions[len(versions)-1], time.Now())
			}
			for i := range 5 {
				versions = append(versions, o.change(t, fmt.Sprintf("in a row %d", i)))
			}
			a.all(t, pollers, versions[len(versions)-1], time.Now())
			a.leave()
			for i, v := range versions {
				if n := o.polls(v); n > 2 {
					t.Errorf("version %d of %d: %d clients have asked the origin %d times", i, len(versions), pollers, n)
				}
			}
		})
	}
}

// TestPollersWithoutNews: while nothing changes the origin holds one poll at a
// time for all clients behind a cache.
func TestPollersWithoutNews(t *testing.T) {
	const pollers, wait, rounds = 50, 1, 3
	for _, c := range caches {
		t.Run(c.name, func(t *testing.T) {
			o := startPolled(t)
			client := c.front(t, o)
			current := o.version(t)
			a := newAudience(t, pollers, poll(client, "http://shop.example", wait))
			begun := time.Now()
			a.all(t, pollers, current, begun)
			for o.polls(current) < rounds {
				time.Sleep(20 * time.Millisecond)
			}
			changed := o.change(t, "news")
			a.all(t, pollers, changed, time.Now())
			a.leave()
			// Each poll is held for the whole wait, so more than one in each wait, and
			// one as it begins, have not been shared.
			if n, most := o.polls(current), int(time.Since(begun)/time.Second)/wait+2; n > most {
				t.Errorf("%d clients have asked the origin %d times, not at most %d", pollers, n, most)
			}
		})
	}
}

// BenchmarkPollers measures what 95 of 100 clients wait for a change, through each
// cache, and beside it over event streams from the origin itself.
func BenchmarkPollers(b *testing.B) {
	sizes := []int{500}
	if os.Getenv("BINDERY_LONG_TESTS") != "" {
		sizes = []int{1_000, 5_000, 9_500}
	}
	for _, n := range sizes {
		measure := func(b *testing.B, o *polled, follow func(context.Context, int, func(string)) error) {
			a := newAudience(b, n, follow)
			a.all(b, n, o.version(b), time.Now())
			var late []time.Duration
			var versions []string
			for i := 0; b.Loop(); i++ {
				begun := time.Now()
				versions = append(versions, o.version(b))
				late = append(late, a.all(b, n, o.change(b, fmt.Sprintf("change %d", i)), begun)...)
			}
			a.leave()
			slices.Sort(late)
			b.ReportMetric(float64(late[len(late)/2])/1e6, "p50-ms")
			b.ReportMetric(float64(late[len(late)*95/100])/1e6, "p95-ms")
			asked := 0
			for _, v := range versions {
				asked = max(asked, o.polls(v))
			}
			b.ReportMetric(float64(asked), "most-asked/version")
		}
		for _, c := range caches {
			b.Run(fmt.Sprintf("%s/clients=%d", c.name, n), func(b *testing.B) {
				o := startPolled(b)
				measure(b, o, poll(c.front(b, o), "http://shop.example", 60))
			})
		}
		b.Run(fmt.Sprintf("sse/clients=%d", n), func(b *testing.B) {
			o := startPolled(b)
			measure(b, o, listen(crowd(b, new(net.Dialer).DialContext), "http://"+o.addr))
		})
	}
}
