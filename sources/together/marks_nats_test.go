package together_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/natssource"
	"github.com/binderyhq/bindery/sources/pollsource"
	"github.com/binderyhq/bindery/sources/sourcetest/natstest"
)

// joined returns what a node takes to join the others over NATS. A node is forgotten
// late: on a busy machine one that works may be silent for seconds.
func joined(conn *nats.Conn) (*natssource.Relay, []core.Plugin) {
	relay := natssource.New(conn, "marks.changes", natssource.Config{
		Heartbeat: 50 * time.Millisecond, Forget: time.Minute,
		Relays: func(source string) bool { return source == "bunsource" },
	})
	return relay, []core.Plugin{relay.Publisher()}
}

// openNATSNode starts a node on the SQLite file that is joined to the others.
func openNATSNode(t testing.TB, server *natstest.Server, dsn string) *markNode {
	t.Helper()
	db, err := bunsource.Open("sqlite", dsn, dialectOf("sqlite"))
	must(t, err)
	db.SetMaxOpenConns(10)
	t.Cleanup(func() { must(t, db.Close()) })
	relay, plugins := joined(server.Connect(t))
	return openMarkNode(t, db, plugins, bunsource.Hooks(db), pollsource.New(time.Hour, pollsource.DataVersion(db)), relay)
}

// TestMarksCrossNATSNodes: nodes on one SQLite file that hear each other over NATS
// understand each other's marks, also for what processes write that are no nodes.
func TestMarksCrossNATSNodes(t *testing.T) {
	server, dsn := natstest.Start(t), sqliteDSN(t)
	plain := openPlain(t, "sqlite", dsn)
	createCounters(t, plain)
	a, b := openNATSNode(t, server, dsn), openNATSNode(t, server, dsn)
	neverAWrongYes(t, []*bun.DB{a.db, b.db, plain}, a, b)
}

// TestMarksOfNATSNodesThatGo: a mark of a node that has ended is understood by those
// who knew it, and foreign to those who came later, itself among them.
func TestMarksOfNATSNodesThatGo(t *testing.T) {
	server, dsn := natstest.Start(t), sqliteDSN(t)
	createCounters(t, openPlain(t, "sqlite", dsn))
	a, b := openNATSNode(t, server, dsn), openNATSNode(t, server, dsn)
	model := &markModel{writers: []*bun.DB{a.db}, committed: map[int64]int64{}}
	must(t, model.write(t.Context(), 0, 1))
	mark := a.mark(t)
	shutdown(t, a.reg)
	must(t, b.check(t.Context(), mark, model.state()))
	shutdown(t, b.reg)
	again := openNATSNode(t, server, dsn)
	if err := again.reg.Reach(t.Context(), mark); !errors.Is(err, core.ErrForeignMark) {
		t.Errorf("a node that came later: %v", err)
	}
}

// TestMarksWithoutNATS: while NATS is away a node's own marks hold, and those of others
// are not reached, until it is back.
func TestMarksWithoutNATS(t *testing.T) {
	server, dsn := natstest.Start(t), sqliteDSN(t)
	createCounters(t, openPlain(t, "sqlite", dsn))
	a, b := openNATSNode(t, server, dsn), openNATSNode(t, server, dsn)
	first := a.mark(t)
	must(t, b.check(t.Context(), first, nil)) // they have heard each other
	server.Stop()
	eventually(t, "the loss is noticed", func() error {
		for _, s := range b.reg.Status().Sources {
			if s.Name == "natssource" && s.Watching {
				return errors.New("it watches")
			}
		}
		return nil
	})
	model := &markModel{writers: []*bun.DB{a.db}, committed: map[int64]int64{}}
	must(t, model.write(t.Context(), 0, 1))
	mark := a.mark(t)
	must(t, a.check(t.Context(), mark, model.state()))
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := b.reg.Reach(short, mark); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without NATS: %v", err)
	}
	server.Restart(t)
	must(t, b.check(t.Context(), mark, model.state()))
}

// BenchmarkReadAcrossNATSNodes is as BenchmarkReadAcrossPostgresNodes.
func BenchmarkReadAcrossNATSNodes(b *testing.B) {
	server, dsn := natstest.Start(b), sqliteDSN(b)
	createCounters(b, openPlain(b, "sqlite", dsn))
	writeReadLatency(b, openNATSNode(b, server, dsn), openNATSNode(b, server, dsn))
}
