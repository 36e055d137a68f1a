package together_test

import (
	"bytes"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// proxy is a network between a client and a server, which can be cut and
// slowed. It listens on a loopback address.
type proxy struct {
	listener net.Listener
	target   string
	wg       sync.WaitGroup

	mu    sync.Mutex // guards what follows
	mode  proxyMode
	moved *sync.Cond // the mode has, or a connection has ended
	conns map[*proxied]struct{}
}

type proxyMode uint8

const (
	through proxyMode = iota
	slow              // each chunk takes slowChunk
	refuse            // connections are closed as soon as they are made
	swallow           // what is sent is lost, and nobody is told
	mute              // what the server sends is lost: it does as it is told, and nobody knows
	hold              // what writes arrives when the mode ends, even if the client has gone by then
)

const slowChunk = 10 * time.Millisecond

// proxied is one connection.
type proxied struct {
	client, server net.Conn
	dead           bool // it has lost bytes, so it never transports any again
	late           bool // it has held bytes back
	left           bool // the client has gone
}

func (c *proxied) close() {
	_ = c.client.Close() // they may be closed already
	_ = c.server.Close()
}

// newProxy runs until the test has ended.
func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &proxy{listener: l, target: target, conns: make(map[*proxied]struct{})}
	p.moved = sync.NewCond(&p.mu)
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.set(refuse)
		p.cut(true)
		p.wg.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) set(m proxyMode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
	p.moved.Broadcast()
}

// cut closes all connections, or those that are dead.
func (p *proxy) cut(all bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if all || c.dead {
			c.close()
		}
	}
}

// delivered waits until the server has dealt with what was held back and then
// delivered in the name of clients that have gone.
func (p *proxy) delivered() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for slices.ContainsFunc(slices.Collect(maps.Keys(p.conns)), func(c *proxied) bool { return c.late && c.left }) {
		p.moved.Wait()
	}
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

func (p *proxy) serve(client net.Conn) {
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = client.Close()
		return
	}
	c := &proxied{client: client, server: server}
	p.mu.Lock()
	p.conns[c] = struct{}{}
	refused := p.mode == refuse
	p.mu.Unlock()
	if !refused {
		var both sync.WaitGroup
		both.Go(func() { p.pump(c, server, client) })
		both.Go(func() { p.pump(c, client, server) })
		both.Wait()
	}
	c.close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	p.moved.Broadcast()
}

// writes reports whether the message of a client says to write, or to commit.
func writes(message []byte) bool {
	return slices.ContainsFunc([]string{"commit", "INSERT", "UPDATE", "DELETE"}, func(word string) bool {
		return bytes.Contains(message, []byte(word))
	})
}

// pump transports one direction. When the client has gone the server is told, as
// soon as it has all that the client sent; it then ends the connection.
func (p *proxy) pump(c *proxied, to, from net.Conn) {
	defer func() {
		if from == c.server {
			c.close()
			return
		}
		p.mu.Lock()
		c.left = true
		p.mu.Unlock()
		_ = to.(*net.TCPConn).CloseWrite() // it may be closed already
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		for p.mode == hold && from == c.client && writes(buf[:n]) {
			c.late = true
			p.moved.Wait()
		}
		mode := p.mode
		c.dead = c.dead || mode == swallow || mode == mute && from == c.server
		dead := c.dead
		p.mu.Unlock()
		if !dead && n > 0 {
			if mode == slow {
				time.Sleep(slowChunk)
			}
			if _, err := to.Write(buf[:n]); err != nil && to == c.server {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
