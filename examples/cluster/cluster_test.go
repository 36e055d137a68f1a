//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/core/client"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/coretest/installed"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
	"github.com/binderyhq/bindery/transports/transporttest/browsertest"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "cluster-test-")
	if err != nil {
		panic(err)
	}
	if built, err = build(context.Background(), dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := pgtest.Main(m).Run()
	_ = os.RemoveAll(dir)
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

var built string // the storefront's binary

// cluster is one that runs.
type cluster struct {
	t   *testing.T
	url string
	out coretest.Output
}

func start(t *testing.T, s settings) *cluster {
	t.Helper()
	s.addr, s.storefront = "127.0.0.1:0", built
	c := &cluster{t: t}
	ctx, cancel := context.WithCancel(context.Background())
	url, done := make(chan string, 1), make(chan error, 1)
	go func() { done <- run(ctx, s, &c.out, func(u string) { url <- u }) }()
	t.Cleanup(func() {
		cancel()
		http.DefaultClient.CloseIdleConnections()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(60 * time.Second):
			t.Error("the cluster does not end")
		}
	})
	select {
	case c.url = <-url:
	case err := <-done:
		done <- nil
		t.Fatalf("it does not start: %v\n%s", err, c.out.String())
	case <-time.After(60 * time.Second):
		t.Fatal("it does not start")
	}
	c.eventually("ready", func() bool { code, _ := c.get(c.url+"readyz", nil); return code == http.StatusOK })
	return c
}

// nodes returns the addresses that the cluster has said.
func (c *cluster) nodes() (urls []string) {
	for _, m := range regexp.MustCompile(`(?:node|follower) \d+ at (\S+)`).FindAllStringSubmatch(c.out.String(), -1) {
		urls = append(urls, m[1])
	}
	return urls
}

func (c *cluster) do(method, url, body string) (int, http.Header, string, error) {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, res.Header, string(b), err
}

func (c *cluster) get(url string, header *http.Header) (int, string) {
	code, h, body, err := c.do("GET", url, "")
	if err != nil {
		return 0, ""
	}
	if header != nil {
		*header = h
	}
	return code, body
}

// write changes a price through the proxy.
func (c *cluster) write(id int, price string) {
	c.t.Helper()
	c.eventually("a write", func() bool {
		code, _, _, err := c.do("PATCH", fmt.Sprint(c.url, "api/products/", id), `{"price":`+price+`}`)
		return err == nil && code == http.StatusOK
	})
}

func (c *cluster) eventually(what string, ok func() bool) {
	c.t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("never: %s\n%s", what, c.out.String())
		}
	}
}

// TestCluster: what is written through the proxy shows on every node, with the same
// token; streams and WebSockets go through it; a node that is killed is replaced, and
// its clients resume with another one.
func TestCluster(t *testing.T) {
	c := start(t, settings{nodes: 2, followers: 1, rows: 60})
	nodes := c.nodes()
	if len(nodes) != 3 {
		t.Fatalf("%s", c.out.String())
	}
	rows, err := client.Open[json.RawMessage](c.url+"events", "products", client.Config{MinWait: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if _, err := rows.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	socket, res, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(c.url, "http")+"ws", http.Header{"Origin": {strings.TrimSuffix(c.url, "/")}})
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	defer socket.Close()
	_ = socket.SetReadDeadline(time.Now().Add(60 * time.Second))
	if err := socket.WriteJSON(map[string]string{"event": "products"}); err != nil {
		t.Fatal(err)
	}
	hears := func(text string) {
		t.Helper()
		for {
			_, msg, err := socket.ReadMessage()
			if err != nil {
				t.Fatalf("before %s: %v", text, err)
			}
			if strings.Contains(string(msg), text) {
				return
			}
		}
	}
	agree := func(text string) {
		t.Helper()
		c.eventually("all show "+text, func() bool {
			tags := map[string]bool{}
			for _, n := range nodes {
				var h http.Header
				code, body := c.get(n+"api/products", &h)
				if code != http.StatusOK || !strings.Contains(body, text) {
					return false
				}
				tags[strings.TrimSuffix(strings.Trim(h.Get("Etag"), `"`), "-gzip")] = true
			}
			return len(tags) == 1 && tags[rows.State().Version]
		})
	}
	c.write(1, "77.25")
	hears("77.25")
	agree("77.25")

	// Node 1 is killed; the follower follows it. Everything goes on, and comes back.
	pid := pidOf(t, nodes[0])
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	c.write(2, "88.5")
	agree("88.5")
	if n := rows.Counts().Resyncs; n > 0 {
		t.Errorf("%d resyncs", n)
	}
	for range 20 { // whoever is asked, nothing fails
		if code, _ := c.get(c.url+"api/products", nil); code != http.StatusOK {
			t.Errorf("a list: %d", code)
		}
	}
}

// pidOf finds the process that serves at the address.
func pidOf(t *testing.T, url string) int {
	t.Helper()
	port := regexp.MustCompile(`:(\d+)/`).FindStringSubmatch(url)[1]
	hex := fmt.Sprintf(":%04X", must(strconv.Atoi(port)))
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		installed.Missing(t, "no /proc to find a node's process in: run it on Linux")
	}
	inode := ""
	for _, line := range strings.Split(string(table), "\n") {
		if f := strings.Fields(line); len(f) > 9 && strings.HasSuffix(f[1], hex) && f[3] == "0A" {
			inode = f[9]
		}
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && to == "socket:["+inode+"]" {
			return must(strconv.Atoi(strings.Split(link, "/")[2]))
		}
	}
	t.Fatal("the node's process is not found")
	return 0
}

func must(n int, err error) int {
	if err != nil {
		panic(err)
	}
	return n
}

// TestClusterOnPostgres: the nodes share a Postgres.
func TestClusterOnPostgres(t *testing.T) {
	c := start(t, settings{nodes: 2, rows: 30, dsn: pgtest.Shared(t).CreateDatabase(t)})
	c.write(1, "12.5")
	for _, n := range c.nodes() {
		c.eventually("the write at "+n, func() bool { _, body := c.get(n+"api/products/1", nil); return strings.Contains(body, "12.5") })
	}
}

// TestPage: the page works through the proxy.
func TestPage(t *testing.T) {
	browser := browsertest.New(t, 1280, 900)
	c := start(t, settings{nodes: 2, rows: 40})
	tab := browser.NewTab(t)
	browsertest.Do(t, tab, chromedp.Navigate(c.url))
	browsertest.Shows(t, tab, "live", `document.querySelector("#connection").dataset.state === "live"`)
	c.write(1, "77.25")
	browsertest.Shows(t, tab, "a write", `[...document.querySelectorAll("#rows tr")].some(r => r.textContent.includes("77.25"))`)
}

func TestFlags(t *testing.T) {
	if err := run(t.Context(), settings{}, io.Discard, nil); err == nil {
		t.Error("no nodes")
	}
	err := run(t.Context(), settings{nodes: 1, storefront: "/does/not/exist"}, io.Discard, nil)
	if err == nil || !strings.Contains(err.Error(), "node 1 does not start") {
		t.Errorf("no binary: %v", err)
	}
}
