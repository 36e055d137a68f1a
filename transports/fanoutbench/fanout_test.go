//go:build unix

package fanoutbench

import (
	"bufio"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkFanOut has one change delivered to all clients, which live in a
// process of their own, over loopback. One iteration is one change; the next is
// published when the last client has it. It reports for each delivery the
// server's CPU time, user and system; the mean over the changes of the median
// and of the 99th percentile of the time from writing to receiving; and what an
// idle connection takes of the server's memory, heap and stacks, of what the system
// has given the process (RSS), and by the registry's count.
func BenchmarkFanOut(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000} {
		for _, s := range subjects {
			b.Run(fmt.Sprintf("%s/%d", s.name, n), func(b *testing.B) { fanOut(b, s.make(b), n) })
		}
	}
}

func fanOut(b *testing.B, s *subject, n int) {
	needFiles(b, n)
	server := httptest.NewServer(s.handler)
	defer server.Close()
	defer s.end()
	before, resident := memory(), residentMemory()
	clients := startClients(b, s, server, n)
	defer clients.stop(b)
	perConn := float64(memory()-before) / float64(n)
	perConnResident := float64(residentMemory()-resident) / float64(n)
	if s.counted != nil {
		b.ReportMetric(float64(s.counted())/float64(n), "counted-B/conn")
	}

	round := 0
	turn := func() (p50, p99 float64) {
		round++
		s.publish(mark(round) + padding)
		return clients.await(b, round)
	}
	for range 3 { // the first sync has been sent when a change arrives
		turn()
	}
	var p50, p99 float64
	runtime.GC()
	cpu := cpuTime(b)
	for b.Loop() {
		m, h := turn()
		p50, p99 = p50+m, p99+h
	}
	used := cpuTime(b) - cpu
	b.ReportMetric(float64(used.Nanoseconds())/float64(b.N)/float64(n), "cpu-ns/delivery")
	b.ReportMetric(p50/float64(b.N)/1e6, "p50-ms")
	b.ReportMetric(p99/float64(b.N)/1e6, "p99-ms")
	b.ReportMetric(perConn, "B/conn")
	if resident > 0 {
		b.ReportMetric(perConnResident, "RSS-B/conn")
	}
}

// needFiles skips where not so many connections can be open. The clients'
// process needs as many again.
func needFiles(b *testing.B, n int) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < uint64(n)+200 {
		b.Skipf("%d connections need as many file descriptors; the limit is %d (%v)", n, limit.Cur, err)
	}
}

func memory() int64 {
	runtime.GC()
	runtime.GC() // what pools held is gone after the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// clientProcess is the process that plays the clients.
type clientProcess struct {
	cmd   *exec.Cmd
	stdin io.Closer
	lines *bufio.Reader
}

// startClients returns when n clients follow.
func startClients(b *testing.B, s *subject, server *httptest.Server, n int) *clientProcess {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s %d", clientsEnv, s.protocol, strings.TrimPrefix(server.URL, "http://"), s.path, n))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	c := &clientProcess{cmd: cmd, stdin: stdin, lines: bufio.NewReader(stdout)}
	if line, err := c.lines.ReadString('\n'); err != nil || line != "ready\n" {
		c.stop(b)
		b.Fatalf("the clients said %q: %v", line, err)
	}
	for deadline := time.Now().Add(30 * time.Second); !s.ready(n); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			c.stop(b)
			b.Fatal("not all clients follow")
		}
	}
	return c
}

// await returns how long the deliveries of the round took, in nanoseconds.
func (c *clientProcess) await(b *testing.B, round int) (p50, p99 float64) {
	line, err := c.lines.ReadString('\n')
	if err != nil {
		b.Fatalf("waiting for the clients: %v", err)
	}
	var got int
	if _, err := fmt.Sscan(line, &got, &p50, &p99); err != nil || got != round {
		b.Fatalf("in round %d the clients said %q: %v", round, line, err)
	}
	return p50, p99
}

func (c *clientProcess) stop(b *testing.B) {
	_ = c.stdin.Close() // it ends when its input does
	if err := c.cmd.Wait(); err != nil {
		b.Errorf("the clients: %v", err)
	}
}
