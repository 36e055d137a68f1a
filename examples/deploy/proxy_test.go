package deploy

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"
	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/coretest/installed"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
	"github.com/binderyhq/bindery/transports/rest"
	"github.com/binderyhq/bindery/transports/sse"
	bindery "github.com/binderyhq/bindery/transports/websocket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

type product struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
	Note string `json:"note"`
}

// node is a server of the kind that proxies stand in front of.
type node struct {
	addr   string
	table  *coretest.Table[product]
	source *coretest.Source
}

func startNode(t *testing.T) *node {
	t.Helper()
	n := &node{table: coretest.NewTable[product]("products", "id"), source: &coretest.Source{}}
	for id := range 20 {
		n.table.Put(product{id + 1, "first", strings.Repeat("vinyl ", 20)})
	}
	e := echo.New()
	ok := func(c echo.Context) error { return c.NoContent(http.StatusOK) }
	e.GET("/readyz", ok)
	e.GET("/metrics", ok)
	e.GET("/admin/", ok)
	reg := core.Config{Logger: slog.New(slog.DiscardHandler)}.NewRegistry()
	reg.Add(core.Bind[product]("products", n.table, core.OrderBy("id")))
	reg.Watch(n.source)
	reg.Serve(rest.New(e.Group("/api")), sse.New(e.Group("/events")), bindery.New(e.Group("/ws")))
	if err := reg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(e)
	t.Cleanup(func() {
		_ = reg.Shutdown(context.Background())
		server.CloseClientConnections()
		server.Close()
	})
	n.addr = server.Listener.Addr().String()
	return n
}

func (n *node) rename(t *testing.T, name string) {
	t.Helper()
	n.table.Put(product{3, name, ""})
	if err := n.source.Report(t.Context(), driver.Change{Table: n.table.Name()}); err != nil {
		t.Fatal(err)
	}
}

// configured writes the file with some of its text replaced, all of which it must
// have, and returns the path.
func configured(t testing.TB, dir, name string, replace ...string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	out := string(text)
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(out, replace[i]) {
			t.Fatalf("%s does not say %q any more", name, replace[i])
		}
		out = strings.Replace(out, replace[i], replace[i+1], 1)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// certificate writes one for shop.example, with its key, and returns a client's
// view of it.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"shop.example"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	secret := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	for name, content := range map[string][]byte{"shop.crt": cert, "shop.key": secret, "shop.pem": append(cert, secret...)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return pool
}

// proxy is a daemon in front of a node. It listens at a socket: no port to race for.
type proxy struct {
	socket string
	roots  *x509.CertPool
}

func (p *proxy) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", p.socket)
}

func (p *proxy) tls() *tls.Config { return &tls.Config{RootCAs: p.roots, ServerName: "shop.example"} }

// run runs the program until the end of the test, and waits for its socket.
func (p *proxy) run(t testing.TB, env []string, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	said := &strings.Builder{}
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = said, said, 5*time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(60 * time.Second):
			_ = cmd.Process.Kill()
			<-done
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(program), said)
		}
	})
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("unix", p.socket); err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-done:
			t.Fatalf("%s did not start", filepath.Base(program))
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen", filepath.Base(program))
		}
	}
}

// shortDir is a directory whose path leaves room for a socket's name.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bindery")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// TestProxies runs each proxy as the page configures it, with TLS and HTTP/2, and
// asks it for what clients need.
func TestProxies(t *testing.T) {
	for _, c := range []struct {
		name, install, program string
		start                  func(t *testing.T, p *proxy, program, dir, origin string)
	}{
		{"nginx", "apt-get install nginx-light", "nginx", func(t *testing.T, p *proxy, program, dir, origin string) {
			site := configured(t, dir, "nginx.conf", "listen 443 ssl http2", "listen unix:"+p.socket+" ssl http2",
				"/etc/nginx/shop.pem", dir+"/shop.crt", "/etc/nginx/shop.key", dir+"/shop.key", "10.0.0.1:8080", origin, "10.0.0.2:8080", origin)
			main := filepath.Join(dir, "main.conf")
			text := fmt.Sprintf("daemon off;\npid %s/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n", dir)
			for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
				text += fmt.Sprintf("%s_temp_path %s/%s;\n", kind, dir, kind)
			}
			if err := os.WriteFile(main, []byte(text+"include "+site+";\n}\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			p.run(t, nil, program, "-e", "stderr", "-p", dir, "-c", main)
		}},
		{"haproxy", "apt-get install haproxy", "haproxy", func(t *testing.T, p *proxy, program, dir, origin string) {
			conf := configured(t, dir, "haproxy.cfg", "bind :443 ssl crt /etc/haproxy/shop.pem", "bind unix@"+p.socket+" ssl crt "+dir+"/shop.pem",
				"10.0.0.1:8080", origin, "10.0.0.2:8080", origin)
			p.run(t, nil, program, "-db", "-f", conf)
		}},
		{"caddy", "apt-get install caddy", "caddy", func(t *testing.T, p *proxy, program, dir, origin string) {
			conf := configured(t, dir, "Caddyfile", "shop.example {", "{\n\tadmin off\n\tauto_https off\n}\nhttps://shop.example {\n\tbind unix/"+p.socket+
				"\n\ttls "+dir+"/shop.crt "+dir+"/shop.key", "10.0.0.1:8080 10.0.0.2:8080", origin)
			p.run(t, []string{"HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}, program, "run", "--adapter", "caddyfile", "--config", conf)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			program := installed.Program(t, c.install, c.program)
			n, dir := startNode(t), shortDir(t)
			p := &proxy{socket: filepath.Join(dir, "socket"), roots: certificate(t, dir)}
			c.start(t, p, program, dir, n.addr)
			p.check(t, n)
		})
	}
}

// check asks the proxy for everything that passes through one.
func (p *proxy) check(t *testing.T, n *node) {
	transport := &http.Transport{DialContext: p.dial, TLSClientConfig: p.tls(), ForceAttemptHTTP2: true, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, Timeout: 60 * time.Second}
	get := func(path string, headers ...string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://shop.example"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		return res
	}

	// HAProxy asks its servers first.
	var list *http.Response
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if list = get("/api/products", "Accept-Encoding", "gzip"); list.StatusCode == http.StatusOK || time.Now().After(deadline) {
			break
		}
	}
	tag := list.Header.Get("ETag")
	if list.StatusCode != 200 || list.ProtoMajor != 2 || list.Header.Get("Content-Encoding") != "gzip" || !strings.HasSuffix(tag, `-gzip"`) || tag[0] != '"' {
		t.Fatalf("the list: %s %s %v", list.Proto, list.Status, list.Header)
	}
	if again := get("/api/products", "Accept-Encoding", "gzip", "If-None-Match", tag); again.StatusCode != http.StatusNotModified {
		t.Errorf("the list again: %s", again.Status)
	}
	for _, path := range []string{"/metrics", "/admin/"} {
		if res := get(path); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s is open to everybody: %s", path, res.Status)
		}
	}

	// Browsers accept compressed streams. A proxy that compresses one may keep events back.
	stream := get("/events/products", "Accept-Encoding", "gzip, deflate, br, zstd")
	if coding := stream.Header.Get("Content-Encoding"); coding != "" {
		t.Fatalf("the event stream is compressed: %s", coding)
	}
	lines := bufio.NewScanner(stream.Body)
	lines.Buffer(nil, 1<<20)
	event := func() string {
		t.Helper()
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return data
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return ""
	}
	dialer := websocket.Dialer{NetDialContext: p.dial, TLSClientConfig: p.tls()}
	socket, res, err := dialer.DialContext(t.Context(), "wss://shop.example/ws", http.Header{"Origin": {"https://shop.example"}})
	if err != nil {
		t.Fatalf("WebSocket: %v, %+v", err, res)
	}
	defer func() { _ = socket.Close() }()
	if err := socket.WriteMessage(websocket.TextMessage, []byte(`{"event":"products"}`)); err != nil {
		t.Fatal(err)
	}
	_ = socket.SetReadDeadline(time.Now().Add(60 * time.Second))
	message := func() string {
		t.Helper()
		_, m, err := socket.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		return string(m)
	}
	if e, m := event(), message(); !strings.Contains(e, `"sync"`) || !strings.Contains(m, `"sync"`) {
		t.Fatalf("%.100s; %.100s", e, m)
	}
	// The next change is made when this one has arrived: nothing keeps one back.
	for i := range 5 {
		name := fmt.Sprintf("change %d", i)
		n.rename(t, name)
		if e, m := event(), message(); !strings.Contains(e, name) || !strings.Contains(m, name) {
			t.Errorf("%.200s; %.200s", e, m)
		}
	}
}
