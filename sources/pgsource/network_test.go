package pgsource

import (
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

// blackHole passes connections on until it swallows what comes, without closing
// anything: as a network that was cut.
type blackHole struct {
	listener net.Listener
	deaf     atomic.Bool
	wg       sync.WaitGroup
	mu       sync.Mutex
	conns    []net.Conn
}

func newBlackHole(t *testing.T, to string) *blackHole {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &blackHole{listener: l}
	h.wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			h.mu.Lock()
			h.conns = append(h.conns, in, out)
			h.mu.Unlock()
			h.wg.Go(func() { h.pass(in, out) })
			h.wg.Go(func() { h.pass(out, in) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		h.mu.Lock()
		for _, c := range h.conns {
			_ = c.Close()
		}
		h.mu.Unlock()
		h.wg.Wait()
	})
	return h
}

func (h *blackHole) pass(from, to net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if err != nil {
			if err == io.EOF && !h.deaf.Load() {
				_ = to.Close()
			}
			return
		}
		if !h.deaf.Load() {
			_, _ = to.Write(buf[:n])
		}
	}
}

func TestSilentNetwork(t *testing.T) {
	t.Parallel() // mostly it waits
	r := newRig(t, markerTable)
	addr := pgtest.Shared(t).Addr()
	hole := newBlackHole(t, addr)
	r.dsn = strings.Replace(r.dsn, addr, hole.listener.Addr().String(), 1)
	timeout := r.watchImpatiently(500 * time.Millisecond)
	hole.deaf.Store(true)
	select {
	case err := <-r.ended:
		if err == nil || !strings.Contains(err.Error(), "silent for "+timeout.String()) && !strings.Contains(err.Error(), "no answer within "+timeout.String()) {
			t.Errorf("Watch returned %v", err)
		}
	case <-time.After(patient):
		t.Fatal("the silence is not noticed")
	}
}

// A quiet database is no silent one.
func TestQuietDatabase(t *testing.T) {
	t.Parallel() // mostly it waits
	r := newRig(t, markerTable)
	r.watchImpatiently(100 * time.Millisecond)
	r.exec("INSERT INTO marker DEFAULT VALUES")
	r.sink.until(t, "a report", func() bool { return len(r.sink.reports) > 0 })
}

// watchImpatiently watches a database in which nothing happens for ten times the
// timeout within which it must be heard of. A busy machine can keep the server from
// being in time; then another watch is given longer. It returns the timeout with
// which it watches.
func (r *rig) watchImpatiently(timeout time.Duration) time.Duration {
	r.t.Helper()
	for ; ; timeout *= 4 {
		r.sink, r.src = newFakeSink(marker), New(r.dsn, Config{ReceiveTimeout: timeout})
		r.start()
		select {
		case err := <-r.ended:
			if timeout > 10*time.Second {
				r.t.Fatalf("Watch returned %v", err)
			}
		case <-time.After(10 * timeout):
			r.awaitWatching()
			return timeout
		}
	}
}
