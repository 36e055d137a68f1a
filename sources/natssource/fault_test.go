package natssource_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/natssource"
	"github.com/binderyhq/bindery/sources/sourcetest/natstest"
)

var (
	table = driver.Table{Name: "things"}
	local = &coretest.Source{}
)

func changeOf(ids ...int) driver.Change {
	c := driver.Change{Table: table, Keys: []driver.Key{}}
	for _, id := range ids {
		c.Keys = append(c.Keys, driver.KeyOf(id))
	}
	return c
}

// node is one process: its relay, what the relay has reported, and its publisher.
type node struct {
	t       *testing.T
	conn    *nats.Conn
	relay   *natssource.Relay
	pub     *natssource.Publisher
	sink    *coretest.Sink
	ctx     context.Context
	cancel  context.CancelFunc
	stopped chan error
}

func newNode(t *testing.T, s *natstest.Server, cfg natssource.Config) *node {
	t.Helper()
	cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	n := &node{t: t, conn: s.Connect(t), sink: &coretest.Sink{}, stopped: make(chan error, 1)}
	n.relay = natssource.New(n.conn, "things.changes", cfg)
	n.pub = n.relay.Publisher()
	n.ctx, n.cancel = context.WithTimeout(context.Background(), 60*time.Second)
	if err := n.pub.Start(n.ctx, nil); err != nil {
		t.Fatal(err)
	}
	watch, stop := context.WithCancel(n.ctx)
	go func() { n.stopped <- n.relay.Watch(watch, n.sink) }()
	t.Cleanup(func() {
		stop()
		<-n.stopped
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = n.pub.Shutdown(ctx)
		n.cancel()
	})
	n.await("watching", func(r *coretest.Record) bool { return r.Watching > 0 })
	return n
}

func (n *node) await(what string, condition func(*coretest.Record) bool) {
	n.t.Helper()
	if err := n.sink.Await(n.ctx, condition); err != nil {
		n.t.Fatalf("waiting for %s: %v; record %+v, stats %+v", what, err, n.sink.Record(), n.relay.Stats())
	}
}

func (n *node) awaitKey(id int) {
	n.t.Helper()
	n.await("a report", func(r *coretest.Record) bool { return r.Covers(table, driver.KeyOf(id)) })
}

// whole counts the times that everything was reported.
func whole(r *coretest.Record) (n int) {
	for _, c := range r.Changes {
		if c.Table.Name == "" {
			n++
		}
	}
	return n
}

func TestKeysTravel(t *testing.T) {
	s := natstest.Start(t)
	a, b := newNode(t, s, patient), newNode(t, s, patient)
	a.pub.Reported(local, []driver.Change{changeOf(1, 2)})
	b.awaitKey(1)
	b.awaitKey(2)
	if n := whole(b.sink.Record()); n != 0 {
		t.Errorf("everything was reported %d times", n)
	}
	if r := a.sink.Record(); len(r.Changes) != 0 {
		t.Errorf("a node hears itself: %+v", r.Changes)
	}
	// What a relay reports is not relayed again, nor what the configuration leaves out.
	b.pub.Reported(b.relay, []driver.Change{changeOf(3)})
	if st := b.relay.Stats(); st.Published != 0 {
		t.Errorf("a relayed report was published: %+v", st)
	}
}

func TestTooManyKeysAreTheWholeTable(t *testing.T) {
	s := natstest.Start(t)
	cfg := patient
	cfg.MaxKeys = 3
	a, b := newNode(t, s, cfg), newNode(t, s, cfg)
	a.pub.Reported(local, []driver.Change{changeOf(1, 2, 3, 4)})
	b.await("the whole table", func(r *coretest.Record) bool {
		return len(r.Changes) == 1 && r.Changes[0].Table == table && r.Changes[0].Keys == nil
	})
}

// TestServerRestart: what is published while the server is away, and never
// arrives, is found missing.
func TestServerRestart(t *testing.T) {
	s := natstest.Start(t)
	a, b := newNode(t, s, config), newNode(t, s, config)
	s.Stop()
	b.await("loss", func(r *coretest.Record) bool { return len(r.Losses) > 0 })
	a.pub.Reported(local, []driver.Change{changeOf(7)})
	s.Restart(t)
	b.await("watching again", func(r *coretest.Record) bool { return r.Watching > 1 })
	a.pub.Reported(local, []driver.Change{changeOf(8)})
	b.awaitKey(8)
}

// TestLostMessage: a last message that never arrives is found by the next beat.
func TestLostMessage(t *testing.T) {
	s := natstest.Start(t)
	b := newNode(t, s, patient)
	other := s.Connect(t)
	say := func(text string) {
		if err := other.Publish("things.changes", []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	say(`{"v":1,"kind":"report","node":"x","seq":1,"changes":[{"table":"things","keys":[]}]}`)
	say(`{"v":1,"kind":"beat","node":"x","seq":2}`)
	b.await("everything", func(r *coretest.Record) bool { return whole(r) == 1 })
	say(`not JSON`)
	b.await("everything", func(r *coretest.Record) bool { return whole(r) == 2 })
	say(`{"v":9,"kind":"report","node":"x","seq":3}`)
	b.await("everything", func(r *coretest.Record) bool { return whole(r) == 3 })
	say(`{"v":1,"kind":"bye","node":"x","seq":3}`)
	say(`{"v":1,"kind":"report","node":"y","seq":1,"changes":[{"table":"things","keys":["` + "BQAAAAAAAAAA" + `"]}]}`)
	if st := b.relay.Stats(); st.Gaps != 1 {
		t.Errorf("gaps %d, want 1", st.Gaps)
	}
}

// TestDeadNode: a node that vanishes makes its peers stale until it counts as
// dead; then everything is read once more.
func TestDeadNode(t *testing.T) {
	s := natstest.Start(t)
	b := newNode(t, s, config)
	a := newNode(t, s, config)
	a.pub.Reported(local, []driver.Change{changeOf(1)})
	b.awaitKey(1)
	a.conn.Close() // as if it were killed: no farewell
	b.await("loss", func(r *coretest.Record) bool { return len(r.Losses) > 0 })
	b.await("reading everything", func(r *coretest.Record) bool { return whole(r) > 0 })
	b.await("watching again", func(r *coretest.Record) bool { return r.Watching > 1 })
}

// TestFarewell: a node that shuts down is not missed.
func TestFarewell(t *testing.T) {
	s := natstest.Start(t)
	b, a := newNode(t, s, patient), newNode(t, s, patient)
	a.pub.Reported(local, []driver.Change{changeOf(1)})
	b.awaitKey(1)
	if err := a.pub.Shutdown(a.ctx); err != nil {
		t.Fatal(err)
	}
	mark, err := a.relay.Mark(a.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.relay.Reach(b.ctx, mark); err != nil { // its number outlives it
		t.Error(err)
	}
	c := newNode(t, s, patient)
	c.pub.Reported(local, []driver.Change{changeOf(2)})
	b.awaitKey(2)
	if r := b.sink.Record(); len(r.Losses) > 0 {
		t.Errorf("lost: %v", r.Losses)
	}
}

// TestMarksCrossNodes: a mark of one node is reached on another when all that it
// names has been reported there, and never before.
func TestMarksCrossNodes(t *testing.T) {
	s := natstest.Start(t)
	a, b, c := newNode(t, s, steady), newNode(t, s, steady), newNode(t, s, steady)
	a.pub.Reported(local, []driver.Change{changeOf(1)})
	b.awaitKey(1)
	mark, err := b.relay.Mark(b.ctx) // names what b has heard of a
	if err != nil {
		t.Fatal(err)
	}
	if err := c.relay.Reach(c.ctx, mark); err != nil {
		t.Fatal(err)
	}
	if !c.sink.Record().Covers(table, driver.KeyOf(1)) {
		t.Error("the mark was reached before the report")
	}
	d := newNode(t, natstest.Start(t), steady)
	d.pub.Reported(local, []driver.Change{changeOf(1)})
	foreign, err := d.relay.Mark(d.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]byte{foreign, nil, {1}, mark[:len(mark)-1], append(slices.Clone(mark), mark...)} {
		if err := c.relay.Reach(c.ctx, bad); !errors.Is(err, driver.ErrForeign) {
			t.Errorf("part %x: %v", bad, err)
		}
	}
	a.pub.Reported(local, []driver.Change{changeOf(2)})
	far, err := a.relay.Mark(a.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.relay.Reach(c.ctx, far); err != nil || !c.sink.Record().Covers(table, driver.KeyOf(2)) {
		t.Errorf("a mark made at once: %v", err)
	}
}

func TestValidate(t *testing.T) {
	for name, r := range map[string]*natssource.Relay{
		"no connection": natssource.New(nil, "a.b"),
		"no subject":    natssource.New(&nats.Conn{}, ""),
		"wildcard":      natssource.New(&nats.Conn{}, "a.>"),
		"empty word":    natssource.New(&nats.Conn{}, "a..b"),
		"short forget":  natssource.New(&nats.Conn{}, "a", natssource.Config{Forget: time.Second, Heartbeat: time.Second}),
		"negative":      natssource.New(&nats.Conn{}, "a", natssource.Config{MaxKeys: -1}),
	} {
		if r.Validate() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
