package socket

import (
	"bufio"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// lazyHijacker makes the handshake use a connection whose write deadline is not moved
// for each message. Gorilla and melody set it every time, which costs a twentieth of a
// delivery.
type lazyHijacker struct {
	http.ResponseWriter
	timeout time.Duration // of a write
}

// Unwrap is for [http.ResponseController].
func (h lazyHijacker) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// Hijack implements [http.Hijacker].
func (h lazyHijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return conn, rw, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		return &lazyTCPConn{TCPConn: tcp, lazy: lazyDeadline{timeout: h.timeout}}, rw, nil
	}
	return &lazyConn{Conn: conn, lazy: lazyDeadline{timeout: h.timeout}}, rw, nil
}

// lazyConn is a connection that is not plain TCP.
type lazyConn struct {
	net.Conn
	lazy lazyDeadline
}

func (c *lazyConn) SetWriteDeadline(t time.Time) error { return c.lazy.set(t, c.Conn.SetWriteDeadline) }

func (c *lazyConn) SetDeadline(t time.Time) error {
	c.lazy.at.Store(0)
	return c.Conn.SetDeadline(t)
}

// lazyTCPConn is a TCP connection. It can write several buffers in one system call,
// which a wrapper of net.Conn would hide.
type lazyTCPConn struct {
	*net.TCPConn
	lazy lazyDeadline
}

func (c *lazyTCPConn) SetWriteDeadline(t time.Time) error {
	return c.lazy.set(t, c.TCPConn.SetWriteDeadline)
}

func (c *lazyTCPConn) SetDeadline(t time.Time) error {
	c.lazy.at.Store(0)
	return c.TCPConn.SetDeadline(t)
}

// lazyDeadline sets a write deadline up to a quarter of the timeout later than asked,
// and keeps it until it would be too early. It sets a deadline exactly if that is
// nearer than usual, as for close messages.
type lazyDeadline struct {
	timeout time.Duration
	at      atomic.Int64 // the current deadline, in nanoseconds since 1970; 0: none or unknown
}

func (l *lazyDeadline) set(t time.Time, apply func(time.Time) error) error {
	slack := l.timeout / 4
	if t.IsZero() || time.Until(t) < l.timeout/2 {
		l.at.Store(0)
		return apply(t)
	}
	asked := t.UnixNano()
	if at := l.at.Load(); at >= asked && at-asked <= int64(slack) {
		return nil
	}
	l.at.Store(asked + int64(slack))
	return apply(t.Add(slack))
}
