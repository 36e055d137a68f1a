package wrapdriver

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"testing"
)

// stuck is a database that lets nobody in until it is opened.
type stuck struct {
	open   chan struct{}
	closed chan struct{}
}

func (s *stuck) Connect(context.Context) (sqldriver.Conn, error) {
	<-s.open
	return &stuckConn{s: s}, nil
}

func (s *stuck) Driver() sqldriver.Driver { return nil }

type stuckConn struct {
	sqldriver.Conn
	s *stuck
}

func (c *stuckConn) Close() error {
	close(c.s.closed)
	return nil
}

// TestConnectReturns when its context ends, though the driver does not, and does not
// lose the connection that comes late.
func TestConnectReturns(t *testing.T) {
	s := &stuck{open: make(chan struct{}), closed: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	c := Wrap(s, nil)
	came := make(chan error)
	go func() {
		_, err := c.Connect(ctx)
		came <- err
	}()
	cancel()
	if err := <-came; !errors.Is(err, context.Canceled) {
		t.Errorf("Connect: %v", err)
	}
	close(s.open)
	<-s.closed
}
