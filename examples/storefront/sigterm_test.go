//go:build unix

package main

import (
	"bufio"
	"bytes"
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// process is the shop as a process of its own.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	addr   string
	output bytes.Buffer // to be read once the process has ended
	ended  chan error
}

// buildProgram builds the shop and returns the path of the binary.
func buildProgram(t testing.TB) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "storefront")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	return binary
}

// startProgram runs the binary on a port of its own, unless the arguments name
// another, and waits until it serves.
func startProgram(t testing.TB, binary string, args ...string) *process {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		p, err := tryProgram(t, binary, args...)
		if err == nil {
			return p
		}
		// A port that it had before may have been given to somebody's connection.
		if !strings.Contains(p.output.String(), "address already in use") || time.Now().After(deadline) {
			t.Fatalf("%v:\n%s", err, p.output.Bytes())
		}
	}
}

// tryProgram is one attempt of startProgram.
func tryProgram(t testing.TB, binary string, args ...string) (*process, error) {
	t.Helper()
	p := &process{t: t, ended: make(chan error, 1)}
	p.cmd = exec.Command(binary, append([]string{"-addr", "127.0.0.1:0"}, args...)...)
	p.cmd.Stderr = &p.output
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		http.DefaultClient.CloseIdleConnections()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	_, url, found := strings.Cut(strings.TrimSpace(line), "http://")
	if err != nil || !found {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		return p, fmt.Errorf("it says %q, %v", line, err)
	}
	p.addr = strings.TrimSuffix(url, "/")
	go func() {
		_, _ = io.Copy(io.Discard, stdout)
		p.ended <- p.cmd.Wait()
	}()
	return p, nil
}

// end sends the signal and waits for the end.
func (p *process) end(signal syscall.Signal) error {
	p.t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.t.Fatal(err)
	}
	select {
	case err := <-p.ended:
		return err
	case <-time.After(60 * time.Second):
		p.t.Fatal("the program has not ended")
		return nil
	}
}

// dial opens a connection and sends text over it.
func (p *process) dial(text string) net.Conn {
	p.t.Helper()
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(60 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		p.t.Fatal(err)
	}
	return c
}

// TestSigterm: clients that stop halfway through whatever they were doing do not
// keep the program from ending in order, within the time that supervisors give.
func TestSigterm(t *testing.T) {
	p := startProgram(t, buildProgram(t), "-rows", "200", "-drain", "3s", "-stop-within", "10s")
	const many = 60

	// Requests whose body does not come to its end, at paths of every kind.
	for i := range many {
		method, path := "POST", "/api/products"
		switch i % 10 {
		case 0:
			method, path = "PATCH", "/api/products/1"
		case 1:
			method, path = "DELETE", "/api/products/999999"
		case 2:
			path = "/api/nothing"
		case 3:
			path = "/events/products"
		case 4:
			method, path = "GET", "/events/products"
		case 5:
			path = "/healthz"
		}
		p.dial(method + " " + path + " HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"name\":")
	}
	// Headers that do not come to their end, and nothing at all.
	for range many {
		p.dial("GET /api/products HTTP/1.1\r\nHost:")
		p.dial("")
	}
	// Streams, of which some are not read, and requests that are held.
	var tag string
	res, err := http.Get("http://" + p.addr + "/api/products")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	tag = res.Header.Get("ETag")
	for range many {
		stream := p.dial("GET /events/products HTTP/1.1\r\nHost: shop\r\n\r\n")
		if line, err := bufio.NewReader(stream).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
			t.Fatalf("a stream: %q, %v", line, err)
		}
		p.dial("GET /api/products HTTP/1.1\r\nHost: shop\r\nPrefer: wait=60\r\nIf-None-Match: " + tag + "\r\n\r\n")
		socket, resp, err := websocket.DefaultDialer.Dial("ws://"+p.addr+"/ws", nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		t.Cleanup(func() { _ = socket.Close() })
		if err := socket.WriteJSON(map[string]string{"event": "products"}); err != nil {
			t.Fatal(err)
		}
	}

	begun := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// Whoever sends clients here is told to send them elsewhere, before they go.
	for {
		res, err := http.Get("http://" + p.addr + "/readyz")
		if err != nil {
			t.Fatalf("it ended without saying that it would: %v", err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode == http.StatusServiceUnavailable && strings.Contains(string(body), "draining") {
			break
		}
	}
	select {
	case err := <-p.ended:
		if err != nil {
			t.Errorf("the program ended with %v:\n%s", err, p.output.Bytes())
		}
		t.Logf("it took %v", time.Since(begun))
	case <-time.After(60 * time.Second):
		t.Error("the program has not ended")
	}
}

// TestSigtermWhileLocked: writes that wait for another program's lock are given up,
// and keep the program from ending in order no more than clients do.
func TestSigtermWhileLocked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "shop.db")
	p := startProgram(t, buildProgram(t), "-rows", "10", "-db", "sqlite:"+file)
	other, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	other.SetMaxOpenConns(1)
	if _, err := other.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	answers := make([]*bufio.Reader, 10)
	for i := range answers {
		c := p.dial("PATCH /api/products/1 HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n")
		answers[i] = bufio.NewReader(c)
		if line, err := answers[i].ReadString('\n'); err != nil || !strings.Contains(line, "100") {
			t.Fatalf("a write is not begun: %q, %v", line, err)
		}
		_, _ = answers[i].ReadString('\n') // the end of the headers, of which there are none
		if _, err := io.WriteString(c, `{"name":"x"}`); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.end(syscall.SIGTERM); err != nil {
		t.Errorf("the program ended with %v:\n%s", err, p.output.Bytes())
	}
	for _, r := range answers {
		if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, "503") {
			t.Errorf("a write was answered %q, %v", line, err)
		}
	}
}
