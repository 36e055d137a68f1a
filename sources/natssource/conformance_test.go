package natssource_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite"

	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/natssource"
	"github.com/binderyhq/bindery/sources/sourcetest"
	"github.com/binderyhq/bindery/sources/sourcetest/natstest"
)

// TestConformance: one node writes through hooks, and the suite watches what the
// relay of another node reports.
func TestConformance(t *testing.T) {
	sourcetest.Run(t, func() (sourcetest.Harness, error) { return newPair(t) })
}

// reader is the relay of the node that reads. Marks are those of the node that writes,
// since that one knows of its commits.
type reader struct {
	*natssource.Relay
	writer *natssource.Relay
}

func (r reader) Mark(ctx context.Context) ([]byte, error) { return r.writer.Mark(ctx) }

// pair is two nodes on one SQLite file. The suite's subject is the second one's
// relay; the first one's writes are what it is to see.
type pair struct {
	*sourcetest.SQL
	server  *natstest.Server
	conns   []*nats.Conn
	writer  *natssource.Publisher
	cancel  context.CancelFunc
	stopped chan struct{}
	t       *testing.T
}

// config misses nodes soon. That is for tests of silence alone, since on a busy machine
// any node may be silent for as long.
var config = natssource.Config{Heartbeat: 20 * time.Millisecond, Forget: time.Second}

// steady finds lost messages soon, and seldom misses a node.
var steady = natssource.Config{Heartbeat: 200 * time.Millisecond, Forget: 10 * time.Second}

// patient misses no node that a test runs.
var patient = natssource.Config{Heartbeat: time.Minute, Forget: time.Hour}

func newPair(t *testing.T) (sourcetest.Harness, error) {
	dsn := "file:" + filepath.Join(t.TempDir(), "test.db") + "?_pragma=busy_timeout(60000)&_txlock=immediate&_pragma=journal_mode(WAL)"
	db, err := bunsource.Open("sqlite", dsn, sqlitedialect.New())
	if err != nil {
		return nil, err
	}
	other, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	p := &pair{t: t, server: natstest.Start(t), stopped: make(chan struct{})}
	writing, reading := p.server.Connect(t), p.server.Connect(t)
	p.conns = []*nats.Conn{writing, reading}
	p.SQL = &sourcetest.SQL{
		Subject: natssource.New(reading, "test.changes", steady), Watched: db.DB, Other: other, Schema: sourcetest.SQLSchema("", ""),
		Can: sourcetest.Abilities{Keys: true, KeyChanges: true, Bulk: true},
	}
	if err := p.Create(context.Background()); err != nil {
		return nil, err
	}
	hooks := bunsource.Hooks(db)
	relay := natssource.New(writing, "test.changes", steady)
	p.Subject = reader{p.Subject.(*natssource.Relay), relay}
	p.writer = relay.Publisher()
	if err := p.writer.Start(context.Background(), nil); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	sink := &coretest.Sink{Schemas: p.Schemas(), OnReport: func(cs []driver.Change) { p.writer.Reported(hooks, cs) }}
	go func() {
		defer close(p.stopped)
		_ = hooks.Watch(ctx, sink)
	}()
	return p, sink.Await(ctx, func(r *coretest.Record) bool { return r.Watching > 0 })
}

// Break implements [sourcetest.Breaker].
func (p *pair) Break(context.Context) error {
	p.server.Stop()
	return nil
}

// Restore implements [sourcetest.Breaker].
func (p *pair) Restore(context.Context) error {
	p.server.Restart(p.t)
	return nil
}

func (p *pair) Close() error {
	p.cancel()
	<-p.stopped
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = p.writer.Shutdown(ctx)
	for _, c := range p.conns {
		c.Close()
	}
	p.server.Stop()
	return p.SQL.Close()
}
