package client_test

import (
	"context"
	"flag"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core/client"
	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/sse"
)

var storm = flag.Int("client.storm", 200, "how many clients lose their node")

// listening is a client that holds nothing but its version.
type listening struct {
	version atomic.Pointer[string]
	syncs   *atomic.Int64
	steps   *atomic.Int64
	back    chan<- time.Time
}

func (l *listening) Version() string {
	if v := l.version.Load(); v != nil {
		return *v
	}
	return ""
}

func (l *listening) Step(s *wire.Step) error {
	if s.Sync {
		l.syncs.Add(1)
	}
	l.steps.Add(1)
	v := s.Last().Version
	l.version.Store(&v)
	l.back <- time.Now()
	return nil
}

func (l *listening) Lost(error) {}

// TestReconnectStorm: all clients of a node lose it at the same moment and come to
// another one. Nobody is sent what it has, and they do not come at once.
//
//	go test ./client -run ReconnectStorm -v -client.storm 5000
func TestReconnectStorm(t *testing.T) {
	n := *storm
	if runtime.GOOS == "windows" {
		t.Skip("connections of one process are few there")
	}
	retry := 2 * time.Second // the default
	if n <= 200 {
		retry = 200 * time.Millisecond
	}
	serve := func() (*wiretest.Rig, *httptest.Server, *sse.Transport) {
		rig, e := wiretest.New(t, "things"), echo.New()
		rig.Forget = true
		for id := range 1000 {
			rig.Tables["things"].Put(wiretest.Item{ID: id + 1, Name: "a thing with a name of some length"})
		}
		tr := sse.New(e.Group("/events"), sse.Config{Retry: retry})
		rig.Start(tr)
		return rig, httptest.NewServer(e), tr
	}
	first, dying, _ := serve()
	second, staying, tr := serve()
	defer staying.Close()
	defer second.Stop()
	token := first.Token("things")
	if token != second.Token("things") {
		t.Fatal("two nodes with the same rows have two tokens")
	}

	// A balancer: whoever connects comes to the node that runs.
	var to atomic.Pointer[string]
	point := func(s *httptest.Server) { a := s.Listener.Addr().String(); to.Store(&a) }
	point(dying)
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, *to.Load())
	}}
	defer transport.CloseIdleConnections()
	cfg := client.Config{HTTP: &http.Client{Transport: transport}}
	var syncs, steps atomic.Int64
	back := make(chan time.Time, 4*n)
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var streams []*client.Stream
	for range n {
		s, err := client.NewStream("http://shop.test/events", "things", cfg)
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, s)
		h := &listening{syncs: &syncs, steps: &steps, back: back}
		h.version.Store(&token) // it has the list from elsewhere
		clients.Go(func() { _ = s.Run(ctx, h) })
	}
	defer func() { cancel(); clients.Wait() }()
	arrivals := func(count int) (all []time.Time) {
		t.Helper()
		patience := time.After(60 * time.Second)
		for range count {
			select {
			case at := <-back:
				all = append(all, at)
			case <-patience:
				t.Fatalf("%d of %d have come", len(all), count)
			}
		}
		return all
	}
	arrivals(n)

	// Steady: one change, told to all.
	begun, cpu := time.Now(), cpuTime()
	first.Put("things", wiretest.Item{ID: 1, Name: "steady"})
	second.Put("things", wiretest.Item{ID: 1, Name: "steady"})
	arrivals(n)
	steady, steadyCPU := time.Since(begun), cpuTime()-cpu

	point(staying)
	begun, cpu = time.Now(), cpuTime()
	dying.CloseClientConnections()
	came := arrivals(n)
	stormCPU := cpuTime() - cpu
	slices.SortFunc(came, time.Time.Compare)
	busiest, from := 0, 0
	for i, at := range came {
		for at.Sub(came[from]) > 100*time.Millisecond {
			from++
		}
		busiest = max(busiest, i-from+1)
	}
	first.Stop()
	dying.Close()
	if got := tr.Status().Open; got != n {
		t.Errorf("%d streams are open, want %d", got, n)
	}
	if syncs.Load() > 0 {
		t.Errorf("%d were sent everything", syncs.Load())
	}
	connects := uint64(0)
	for _, s := range streams {
		connects += s.Counts().Connects
	}
	if connects != uint64(2*n) {
		t.Errorf("%d connections for %d clients", connects, n)
	}
	t.Logf("%d clients: a change told to all in %v with %v of CPU; back after p50 %v, p95 %v, all %v, with %v of CPU; at most %d in 100 ms; resumed without a sync: all",
		n, steady.Round(time.Millisecond), steadyCPU.Round(time.Millisecond), came[n/2].Sub(begun).Round(time.Millisecond), came[n*95/100].Sub(begun).Round(time.Millisecond),
		came[n-1].Sub(begun).Round(time.Millisecond), stormCPU.Round(time.Millisecond), busiest)
}
