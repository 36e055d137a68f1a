package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// proxy sends requests to the nodes in turn. What a client needs of it is little: it
// flushes streams, hands WebSockets through, and keeps the Host that the browser has
// named. A client's tokens mean the same on every node, so no request need go where
// the one before went; Socket.IO's polling does, which has a session on one node.
type proxy struct {
	nodes     []*backend
	writers   int // the first so many take writes
	turn      atomic.Uint64
	forward   *httputil.ReverseProxy
	transport *http.Transport
}

// backend is a node as the proxy sees it.
type backend struct {
	name string

	mu      sync.Mutex // guards what follows
	address *url.URL   // nil: it does not run
	ready   bool
	stale   bool // it says that its rows may be old
}

func newProxy() *proxy {
	p := &proxy{transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second}}
	p.forward = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(r.In.Context().Value(attemptKey{}).(*attempt).url)
			r.Out.Host = r.In.Host // the nodes compare it with the browser's Origin
			r.SetXForwarded()
		},
		Transport:     p.transport,
		FlushInterval: -1, // as soon as something comes
		ErrorHandler:  p.failed,
		ErrorLog:      slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	return p
}

// attempt is where a request is sent.
type attempt struct {
	to    *backend
	url   *url.URL
	count int // attempts before
}

type attemptKey struct{}

// failed sends a request to another node when the first has gone and nothing was
// answered yet. A write may have been made by then: it is not repeated.
func (p *proxy) failed(w http.ResponseWriter, r *http.Request, err error) {
	a := r.Context().Value(attemptKey{}).(*attempt)
	if r.Context().Err() == nil {
		a.to.fails(a.url)
	}
	if (r.Method == http.MethodGet || r.Method == http.MethodHead) && a.count < len(p.nodes) && r.Context().Err() == nil {
		p.send(w, r, a.count+1)
		return
	}
	http.Error(w, "the node has gone", http.StatusBadGateway)
}

// add adds a node that does not run yet.
func (p *proxy) add(name string) *backend {
	b := &backend{name: name}
	p.nodes = append(p.nodes, b)
	p.writers = len(p.nodes)
	return b
}

// writes says that the first n nodes alone take writes.
func (p *proxy) writes(n int) { p.writers = n }

func (b *backend) serves(address string) {
	u, err := url.Parse(address)
	if err != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.address, b.ready = u, false
}

func (b *backend) gone() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.address, b.ready = nil, false
}

func (b *backend) url() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.address == nil {
		return ""
	}
	return b.address.String()
}

// fails says that the node does not answer at the address.
func (b *backend) fails(at *url.URL) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.address == at {
		b.ready = false // until it is asked again
	}
}

// target returns where to send a request, nil while the node is not ready, or not
// current.
func (b *backend) target(current bool) *url.URL {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ready || current && b.stale {
		return nil
	}
	return b.address
}

// sticky is the cookie that names the node of a Socket.IO session.
const sticky = "cluster-node"

// ServeHTTP sends the request to a node that is ready.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.send(w, r, 0)
}

// send sends a request, after so many attempts.
func (p *proxy) send(w http.ResponseWriter, r *http.Request, count int) {
	nodes := p.nodes
	if strings.HasPrefix(r.URL.Path, "/api/") && r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions {
		nodes = nodes[:p.writers]
	}
	to, at := p.pick(w, r, nodes)
	if to == nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "no node is ready", http.StatusServiceUnavailable)
		return
	}
	p.forward.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), attemptKey{}, &attempt{to, at, count})))
}

// pick returns the node that is next, nil when none is ready.
func (p *proxy) pick(w http.ResponseWriter, r *http.Request, nodes []*backend) (*backend, *url.URL) {
	session := strings.HasPrefix(r.URL.Path, "/socket.io/")
	if c, err := r.Cookie(sticky); err == nil && session {
		for _, b := range p.nodes {
			if url.QueryEscape(b.name) == c.Value {
				if u := b.target(false); u != nil {
					return b, u
				}
			}
		}
	}
	from := p.turn.Add(1)
	for i := range 2 * len(nodes) { // those that are current first
		b := nodes[(from+uint64(i))%uint64(len(nodes))]
		u := b.target(i < len(nodes))
		if u == nil {
			continue
		}
		if session {
			http.SetCookie(w, &http.Cookie{Name: sticky, Value: url.QueryEscape(b.name), Path: "/socket.io/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
		}
		return b, u
	}
	return nil, nil
}

// checkEvery is how often nodes are asked whether they are ready.
const checkEvery = 100 * time.Millisecond

// check asks the nodes whether they are ready, until ctx is done.
func (p *proxy) check(ctx context.Context) {
	client := &http.Client{Transport: p.transport, Timeout: 2 * time.Second}
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	for {
		var asking sync.WaitGroup
		for _, b := range p.nodes {
			asking.Go(func() { b.check(ctx, client) })
		}
		asking.Wait()
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (b *backend) check(ctx context.Context, client *http.Client) {
	b.mu.Lock()
	at := b.address
	b.mu.Unlock()
	if at == nil {
		return
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.JoinPath("readyz").String(), nil)
	if err != nil {
		return
	}
	var ready bool
	var is struct{ Status string }
	if res, err := client.Do(req); err == nil {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
		_ = res.Body.Close()
		ready = res.StatusCode == http.StatusOK && json.Unmarshal(body, &is) == nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.address == at {
		b.ready, b.stale = ready, is.Status == "stale"
	}
}
