package pgsource

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/sourcetest"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

// TestConformance holds the source to what all sources promise.
func TestConformance(t *testing.T) {
	server := pgtest.Shared(t)
	t.Run("log", func(t *testing.T) {
		dsn := server.CreateDatabase(t)
		sourcetest.Run(t, func() (sourcetest.Harness, error) {
			h, err := newConformance(t.Context(), dsn)
			if err != nil {
				return nil, err
			}
			h.Subject = New(h.link)
			return h, h.Create(t.Context())
		})
	})
	t.Run("triggers", func(t *testing.T) {
		dsn := server.CreateDatabase(t)
		sourcetest.Run(t, func() (sourcetest.Harness, error) {
			h, err := newConformance(t.Context(), dsn)
			if err != nil {
				return nil, err
			}
			h.Subject = NewTriggers(h.link)
			if err := h.Create(t.Context()); err != nil {
				return nil, err
			}
			return h, Outbox{}.Install(t.Context(), dsn, h.Schema.Table)
		})
	})
}

// conformance watches by way of a proxy, which is the link that it breaks.
type conformance struct {
	*sourcetest.SQL
	proxy *proxy
	link  string // the database, by way of the proxy
}

// newConformance prepares for a table in the database, in which that of the case
// before may be.
func newConformance(ctx context.Context, dsn string) (*conformance, error) {
	watched, err := sql.Open("pgx", dsn)
	if err != nil {
		return nil, err
	}
	other, err := sql.Open("pgx", dsn)
	if err != nil {
		return nil, err
	}
	if _, err := other.ExecContext(ctx, "DROP TABLE IF EXISTS conformance"); err != nil {
		return nil, err
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, err
	}
	h := &conformance{proxy: &proxy{target: u.Host, open: map[net.Conn]bool{}}}
	if err := h.proxy.listen(); err != nil {
		return nil, err
	}
	u.Host = h.proxy.listener.Addr().String()
	h.link = u.String()
	h.SQL = &sourcetest.SQL{
		Watched: watched, Other: other, Schema: sourcetest.SQLSchema("", ""),
		Can: sourcetest.Abilities{Within: patient, Keys: true, KeyChanges: true, Bulk: true, OtherProcesses: true},
	}
	return h, nil
}

func (h *conformance) Close() error {
	h.proxy.close()
	return h.SQL.Close()
}

func (h *conformance) Break(context.Context) error   { h.proxy.cut(true); return nil }
func (h *conformance) Restore(context.Context) error { h.proxy.cut(false); return nil }

// Snapshot implements [driver.Snapshotter], as the loader does.
func (h *conformance) Snapshot(ctx context.Context) (driver.Snapshot, error) {
	tx, err := h.Other.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	if _, err := tx.ExecContext(ctx, "SELECT 1"); err != nil { // which takes the snapshot
		_ = tx.Rollback() // it has read nothing
		return nil, err
	}
	scalar := func(ctx context.Context, statement string) (text string, err error) {
		err = tx.QueryRowContext(ctx, statement).Scan(&text)
		return text, err
	}
	return &questioned{scalar, func() { _ = tx.Rollback() }}, nil // it has only read
}

// proxy passes connections on to the server, until it is cut.
type proxy struct {
	target   string
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex // guards what follows
	broken bool
	open   map[net.Conn]bool
}

func (p *proxy) listen() (err error) {
	if p.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	p.running.Go(func() {
		for {
			conn, err := p.listener.Accept()
			if err != nil {
				return // it was closed
			}
			p.running.Go(func() { p.pass(conn) })
		}
	})
	return nil
}

func (p *proxy) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	if !p.keep(client, server) {
		return
	}
	defer p.forget(client, server)
	p.running.Go(func() {
		_, _ = io.Copy(server, client) // either end may have been cut
		_ = server.Close()
	})
	_, _ = io.Copy(client, server)
}

func (p *proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.open[c] = true
	}
	return !p.broken
}

func (p *proxy) forget(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		delete(p.open, c)
	}
}

// cut closes all connections, and those that come while it is broken.
func (p *proxy) cut(broken bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = broken
	for c := range p.open {
		_ = c.Close()
	}
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.cut(true)
	p.running.Wait()
}

// questioned is a snapshot that nobody reads in, but that answers questions.
type questioned struct {
	scalar func(ctx context.Context, statement string) (string, error)
	close  func()
}

func (q *questioned) Context(ctx context.Context) context.Context { return ctx }
func (q *questioned) Close()                                      { q.close() }

func (q *questioned) Scalar(ctx context.Context, statement string) (string, error) {
	return q.scalar(ctx, statement)
}

// unquestioned is a snapshot that answers no questions.
type unquestioned struct{}

func (unquestioned) Context(ctx context.Context) context.Context { return ctx }
func (unquestioned) Close()                                      {}
