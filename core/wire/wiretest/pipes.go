package wiretest

import (
	"context"
	"net"
	"sync"
)

// Pipes is a network of [net.Pipe] connections: a listener, and what dials it. Inside a
// bubble of testing/synctest its deadlines pass when nothing else can go on, so a test of
// a timeout proves the same on any machine. A connection of the real network counts as
// work that goes on for ever there.
//
// A pipe keeps nothing: a Write returns when the other side has read all of it. All
// methods may be called from any goroutine.
type Pipes struct {
	dialed chan net.Conn
	closed chan struct{}
	once   sync.Once // closes closed
}

// ListenPipes returns a network that nobody has dialed. Make it inside the bubble.
func ListenPipes() *Pipes {
	return &Pipes{dialed: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial connects to the listener, and waits until the connection is accepted. It returns
// net.ErrClosed once the listener is closed, or the context's error.
func (p *Pipes) Dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	var err error
	select {
	case p.dialed <- server:
		return client, nil
	case <-p.closed:
		err = net.ErrClosed
	case <-ctx.Done():
		err = ctx.Err()
	}
	_, _ = client.Close(), server.Close()
	return nil, err
}

// DialContext is Dial, whatever the address, for http.Transport and other dialers.
func (p *Pipes) DialContext(ctx context.Context, _, _ string) (net.Conn, error) { return p.Dial(ctx) }

// Accept implements [net.Listener].
func (p *Pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.dialed:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener]. Connections that are accepted stay open.
func (p *Pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr implements [net.Listener].
func (p *Pipes) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
