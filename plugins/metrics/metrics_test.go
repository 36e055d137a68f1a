package metrics_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/plugins/metrics"
	"github.com/binderyhq/bindery/transports/rest"
	"github.com/binderyhq/bindery/transports/socketio"
	"github.com/binderyhq/bindery/transports/sse"
	ws "github.com/binderyhq/bindery/transports/websocket"
)

type item struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

// program is a program with metrics.
type program struct {
	t      *testing.T
	table  *coretest.Table[item]
	source *coretest.Source
	reg    *core.Registry
	url    string
}

func newProgram(t *testing.T, cfg ...metrics.Config) *program {
	t.Helper()
	p := &program{t: t, table: coretest.NewTable[item]("items", "id"), source: &coretest.Source{}}
	e := echo.New()
	p.reg = core.Config{Logger: slog.New(slog.DiscardHandler)}.NewRegistry()
	_ = p.reg.Add(core.Bind[item]("items", p.table))
	_ = p.reg.Add(core.BindFamily[item]("named", p.table, core.Where(filter.Eq("name", filter.Param("name")))))
	_ = p.reg.Watch(p.source, &coretest.Source{}) // two of one name
	_ = p.reg.Serve(rest.New(e.Group("/api")), sse.New(e.Group("/events")), ws.New(e.Group("/ws")), socketio.New(e.Group("/socket.io")))
	_ = p.reg.Use(metrics.New(e.Group("/metrics"), cfg...))
	p.table.Put(item{1, "a"}, item{2, "b"})
	if err := p.reg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(e)
	p.url = server.URL
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		if err := p.reg.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	if err := p.reg.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *program) report(c driver.Change) {
	p.t.Helper()
	if err := p.source.Report(p.t.Context(), c); err != nil {
		p.t.Fatal(err)
	}
}

func (p *program) get(path string, header ...string) (int, http.Header, string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.url+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}

// scrape returns the metrics as Prometheus' own parser understands them.
type scraped map[string]*dto.MetricFamily

func (p *program) scrape() scraped {
	p.t.Helper()
	code, h, body := p.get("/metrics")
	if code != http.StatusOK || !strings.HasPrefix(h.Get("Content-Type"), "text/plain") {
		p.t.Fatalf("a scrape is answered %d %s", code, h.Get("Content-Type"))
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	return families
}

// value returns that of the series with exactly these labels: of a histogram the
// count; -1 for none.
func (s scraped) value(name string, labels ...string) float64 {
	for _, m := range s[name].GetMetric() {
		same := len(m.GetLabel()) == len(labels)/2
		for _, l := range m.GetLabel() {
			found := false
			for i := 0; i < len(labels); i += 2 {
				found = found || labels[i] == l.GetName() && labels[i+1] == l.GetValue()
			}
			same = same && found
		}
		if !same {
			continue
		}
		switch s[name].GetType() {
		case dto.MetricType_COUNTER:
			return m.GetCounter().GetValue()
		case dto.MetricType_HISTOGRAM:
			return float64(m.GetHistogram().GetSampleCount())
		default:
			return m.GetGauge().GetValue()
		}
	}
	return -1
}

func (s scraped) want(t *testing.T, value float64, name string, labels ...string) {
	t.Helper()
	if got := s.value(name, labels...); got != value {
		t.Errorf("%s%q is %v, want %v", name, labels, got, value)
	}
}

// eventually scrapes until the value is there: clients have a message before it is
// known to be written.
func (p *program) eventually(value float64, name string, labels ...string) {
	p.t.Helper()
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		got := p.scrape().value(name, labels...)
		if got == value {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("%s%q is %v, want %v", name, labels, got, value)
		}
	}
}

// TestValues follows the metrics through a known sequence of writes and requests.
func TestValues(t *testing.T) {
	p := newProgram(t)
	s := p.scrape()
	s.want(t, 2, "bindery_binding_rows", "binding", "items")
	s.want(t, 1, "bindery_binding_version_changes_total", "binding", "items")
	s.want(t, 0, "bindery_events_total", "binding", "items", "action", "create")
	s.want(t, 0, "bindery_publish_delay_seconds", "table", "items")
	s.want(t, 1, "bindery_source_watching", "source", "coretest")
	s.want(t, 0, "bindery_source_found_total", "source", "coretest")
	s.want(t, 1, "bindery_binding_state", "binding", "items", "state", "live")
	s.want(t, 0, "bindery_binding_rows", "binding", "named")
	s.want(t, 1, "bindery_ready")
	s.want(t, 0, "bindery_draining")
	if info := s["bindery_build_info"].GetMetric(); len(info) != 1 || len(info[0].GetLabel()) != 3 || info[0].GetGauge().GetValue() != 1 {
		t.Errorf("the build is %v", info)
	}

	p.report(p.table.Put(item{3, "c"}, item{4, "d"}))
	p.report(p.table.Put(item{1, "A"}))
	p.report(p.table.Remove(p.table.KeyOf(item{ID: 2})))
	p.report(p.table.Put(item{1, "A"})) // nothing changes
	if v, ok := p.reg.Lookup("items"); !ok || p.reg.Touch(v) != nil || p.reg.Resync(t.Context(), v) != nil {
		t.Fatal("touching and reading anew fail")
	}
	s = p.scrape()
	s.want(t, 3, "bindery_binding_rows", "binding", "items")
	s.want(t, 4, "bindery_binding_version_changes_total", "binding", "items")
	s.want(t, 2, "bindery_events_total", "binding", "items", "action", "create")
	s.want(t, 1, "bindery_events_total", "binding", "items", "action", "update")
	s.want(t, 1, "bindery_events_total", "binding", "items", "action", "delete")
	s.want(t, 4, "bindery_publish_delay_seconds", "table", "items")
	s.want(t, 4, "bindery_feed_reports_total", "table", "items")
	if n := s.value("bindery_feed_read_seconds", "table", "items"); n < 5 {
		t.Errorf("%v reads are timed, there were five at least", n)
	}

	// Answers: one body, one 304 and one 404.
	_, h, _ := p.get("/api/items")
	p.get("/api/items", "If-None-Match", h.Get("ETag"))
	p.get("/api/items")
	p.get("/api/none")
	s = p.scrape()
	s.want(t, 2, "bindery_responses_total", "transport", "rest", "status", "200")
	s.want(t, 1, "bindery_responses_total", "transport", "rest", "status", "304")
	s.want(t, 1, "bindery_responses_total", "transport", "rest", "status", "404")
	s.want(t, 1, "bindery_bodies_built_total", "transport", "rest")

	// Members come and go under their family's name.
	p.get("/api/named?name=A")
	p.get("/api/named?name=c")
	s = p.scrape()
	s.want(t, 2, "bindery_binding_rows", "binding", "named")
	s.want(t, 2, "bindery_family_opened_total", "binding", "named")

	for name, f := range s {
		if !strings.HasPrefix(name, "bindery_") {
			continue
		}
		if strings.HasSuffix(name, "_seconds") != (f.GetType() == dto.MetricType_HISTOGRAM) {
			t.Errorf("%s is a %v", name, f.GetType())
		}
		if strings.HasSuffix(name, "_total") != (f.GetType() == dto.MetricType_COUNTER) {
			t.Errorf("%s is a %v", name, f.GetType())
		}
		if f.GetHelp() == "" {
			t.Errorf("%s has no help", name)
		}
	}
	if s["go_goroutines"] == nil {
		t.Error("the metrics of the runtime are not there")
	}
}

// TestDelivery counts what streaming clients are told, each change once, and
// measures neither the first sync nor a resume.
func TestDelivery(t *testing.T) {
	p := newProgram(t)
	conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(p.url, "http")+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(`{"event":"items"}`)); err != nil {
		t.Fatal(err)
	}
	message := func() {
		t.Helper()
		if _, _, err := conn.ReadMessage(); err != nil {
			t.Fatal(err)
		}
	}
	message()
	follow := func(id string) (next func() string, end func()) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/events/items", nil)
		req.Header.Set("Last-Event-ID", id)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(resp.Body)
		return func() (id string) {
			t.Helper()
			for lines.Scan() && lines.Text() != "" {
				id = cmpID(id, lines.Text())
			}
			return id
		}, func() { cancel(); resp.Body.Close() }
	}
	next, end := follow("")
	next()
	s := p.scrape()
	for _, transport := range []string{"sse", "websocket"} {
		s.want(t, 1, "bindery_subscribers", "transport", transport)
		s.want(t, 1, "bindery_connections", "transport", transport)
		s.want(t, 1, "bindery_syncs_total", "transport", transport)
		s.want(t, 0, "bindery_delivery_delay_seconds", "transport", transport)
	}
	s.want(t, 1, "bindery_responses_total", "transport", "sse", "status", "200")
	s.want(t, 1, "bindery_responses_total", "transport", "websocket", "status", "101")
	id := ""
	for i := range 3 {
		p.report(p.table.Put(item{10 + i, "new"}))
		message()
		id = next()
	}
	p.eventually(3, "bindery_delivery_delay_seconds", "transport", "websocket")
	p.eventually(3, "bindery_delivery_delay_seconds", "transport", "sse")
	end()
	p.eventually(0, "bindery_subscribers", "transport", "sse")
	p.report(p.table.Put(item{20, "missed"}))
	next, end = follow(id)
	defer end()
	next()
	p.eventually(1, "bindery_resumes_total", "transport", "sse")
	p.scrape().want(t, 3, "bindery_delivery_delay_seconds", "transport", "sse")
	p.scrape().want(t, 1, "bindery_syncs_total", "transport", "sse")
	conn.Close()
	p.eventually(0, "bindery_subscribers", "transport", "websocket")

	// Polls of Socket.IO.
	_, _, hello := p.get("/socket.io/?EIO=4&transport=polling")
	if !strings.Contains(hello, "sid") {
		t.Fatalf("the handshake is answered %q", hello)
	}
	p.eventually(1, "bindery_connections", "transport", "socketio")
	p.scrape().want(t, 1, "bindery_responses_total", "transport", "socketio", "status", "200")
}

func cmpID(id, line string) string {
	if after, ok := strings.CutPrefix(line, "id: "); ok {
		return after
	}
	return id
}

// TestFailures shows reads that fail.
func TestFailures(t *testing.T) {
	p := newProgram(t)
	p.table.Fail(errors.New("away"))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_ = p.source.Report(ctx, p.table.Put(item{9, "x"}))
	p.eventually(1, "bindery_binding_state", "binding", "items", "state", "stale")
	if n := p.scrape().value("bindery_feed_failures_total", "table", "items"); n < 1 {
		t.Errorf("%v failures", n)
	}
	p.table.Fail(nil)
	p.eventually(1, "bindery_binding_state", "binding", "items", "state", "live")
}

// TestDraining shows that the program is about to end.
func TestDraining(t *testing.T) {
	p := newProgram(t)
	if err := p.reg.Drain(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	s := p.scrape()
	s.want(t, 0, "bindery_ready")
	s.want(t, 1, "bindery_draining")
}

// TestOpenMetrics asks for the other format.
func TestOpenMetrics(t *testing.T) {
	p := newProgram(t, metrics.Config{OmitProcess: true, Collectors: []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "own"}, func() float64 { return 7 }),
	}})
	_, h, body := p.get("/metrics", "Accept", "application/openmetrics-text; version=1.0.0")
	if !strings.HasPrefix(h.Get("Content-Type"), "application/openmetrics-text") || !strings.HasSuffix(body, "# EOF\n") {
		t.Errorf("it is %s, and ends with %q", h.Get("Content-Type"), body[max(0, len(body)-20):])
	}
	if !strings.Contains(body, "\nown 7") || strings.Contains(body, "go_goroutines") {
		t.Error("the program's own metric is not shown, or those of the process are")
	}
	if h.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control is %q", h.Get("Cache-Control"))
	}
	// The default registry knows nothing of it.
	all, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if strings.HasPrefix(f.GetName(), "bindery_") {
			t.Errorf("%s is in the global registry", f.GetName())
		}
	}
}

// TestRefusedConfig tells what is wrong.
func TestRefusedConfig(t *testing.T) {
	e := echo.New()
	for want, p := range map[string]*metrics.Plugin{
		"the group is nil":            metrics.New(nil),
		"more than one configuration": metrics.New(e.Group(""), metrics.Config{}, metrics.Config{}),
		"ReadBuckets do not rise":     metrics.New(e.Group(""), metrics.Config{ReadBuckets: []float64{1, 1}}),
		"MaxScrapes -1 is negative":   metrics.New(e.Group(""), metrics.Config{MaxScrapes: -1}),
		"registering a collector":     metrics.New(e.Group(""), metrics.Config{Collectors: []prometheus.Collector{prometheus.NewGauge(prometheus.GaugeOpts{Name: "bindery_binding_rows", Help: "x"})}}),
	} {
		reg := core.NewRegistry()
		_ = reg.Use(p)
		if err := reg.Start(t.Context()); err == nil || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("Start returns %v, want %q", err, want)
		}
		_ = reg.Shutdown(t.Context())
	}
}
