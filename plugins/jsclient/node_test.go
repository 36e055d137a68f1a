package jsclient_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core/coretest/installed"
)

// packages returns where the npm packages are that tests need, or skips.
func packages(t *testing.T, names ...string) string {
	t.Helper()
	dir := os.Getenv("BINDERY_NODE_MODULES")
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(dir, "node_modules", name)); dir == "" || err != nil {
			installed.Missing(t, fmt.Sprintf("no npm package %s: install those that .ci/run names (npm install --prefix DIR …) and set BINDERY_NODE_MODULES=DIR", name))
		}
	}
	return dir
}

// nodePage is a process of Node that runs scripts as a page does.
type nodePage struct {
	in io.Writer

	mu      sync.Mutex // guards what follows
	last    int
	waiting map[int]chan nodeAnswer
	err     string // thrown where nobody waited, or why the process ended
	reports map[string]func(json.RawMessage)
}

type nodeAnswer struct {
	ID    int
	Name  string
	Value json.RawMessage
	Error string
}

// startNode starts a process that ends with the test.
func startNode(t *testing.T) *nodePage {
	t.Helper()
	cmd := exec.Command(nodeBin(t), "testdata/driver.mjs")
	cmd.Env = append(os.Environ(), "NODE_OPTIONS=")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting node: %v", err)
	}
	p := &nodePage{in: in, waiting: map[int]chan nodeAnswer{}, reports: map[string]func(json.RawMessage){}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.read(out)
	}()
	t.Cleanup(func() {
		_ = in.Close()
		kill := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		<-done
		_ = cmd.Wait()
		kill.Stop()
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.err != "" {
			t.Errorf("in Node: %s", p.err)
		}
	})
	return p
}

func (p *nodePage) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var a nodeAnswer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			a.Error = "it printed " + lines.Text()
		}
		p.mu.Lock()
		if report := p.reports[a.Name]; a.ID == -1 && report != nil {
			report(a.Value)
		} else if ch := p.waiting[a.ID]; ch != nil {
			delete(p.waiting, a.ID)
			ch <- a
		} else if a.Error != "" {
			p.err = a.Error
		}
		p.mu.Unlock()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, ch := range p.waiting {
		delete(p.waiting, id)
		ch <- nodeAnswer{ID: id, Error: "node has ended"}
	}
}

// try runs the body of an async function.
func (p *nodePage) try(body string) (json.RawMessage, error) {
	ch := make(chan nodeAnswer, 1)
	p.mu.Lock()
	p.last++
	id := p.last
	p.waiting[id] = ch
	p.mu.Unlock()
	line, err := json.Marshal(map[string]any{"id": id, "body": body})
	if err != nil {
		return nil, err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return nil, err
	}
	select {
	case a := <-ch:
		if a.Error != "" {
			return nil, fmt.Errorf("in Node: %s", a.Error)
		}
		return a.Value, nil
	case <-time.After(60 * time.Second):
		return nil, fmt.Errorf("in Node: no answer to %s", body)
	}
}

// on has fn called with what the process reports under the name; nil ends that.
func (p *nodePage) on(name string, fn func(json.RawMessage)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reports[name] = fn
}

// run runs the body of an async function, and returns its result: text as it is,
// anything else as JSON.
func (p *nodePage) run(t *testing.T, body string) string {
	t.Helper()
	value, err := p.try(body)
	if err != nil {
		t.Fatal(err)
	}
	var text string
	if json.Unmarshal(value, &text) == nil {
		return text
	}
	return string(value)
}

// shows waits until an expression is true.
func (p *nodePage) shows(t *testing.T, what, expression string) {
	t.Helper()
	got := p.run(t, `
		for (const end = Date.now() + 25_000; Date.now() < end; await new Promise((r) => setTimeout(r, 5))) if (`+expression+`) return true;
		return JSON.stringify(Object.values(globalThis.shown ?? {}).map((c) => c.state));`)
	if got != "true" {
		t.Fatalf("never: %s: Node has %.2000s", what, got)
	}
}
