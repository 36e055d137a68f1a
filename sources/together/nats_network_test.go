package together_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/sourcetest/natstest"
)

// TestNATSNodesBehindABadNetwork: two nodes on one SQLite file that learn of each other
// over NATS alone, one of them through a network that is cut, slowed and loses what is
// sent. Marks are never answered too early meanwhile, and in the end both show what
// the database holds, at one version.
func TestNATSNodesBehindABadNetwork(t *testing.T) {
	server, dsn := natstest.Start(t), sqliteDSN(t)
	network := newProxy(t, strings.TrimPrefix(server.URL(), "nats://"))
	createCounters(t, openPlain(t, "sqlite", dsn))
	open := func(url string) *markNode {
		conn, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.ReconnectJitter(0, 0),
			nats.PingInterval(100*time.Millisecond), nats.MaxPingsOutstanding(2), nats.Timeout(500*time.Millisecond))
		must(t, err)
		t.Cleanup(conn.Close)
		db, err := bunsource.Open("sqlite", dsn, dialectOf("sqlite"))
		must(t, err)
		db.SetMaxOpenConns(10)
		t.Cleanup(func() { must(t, db.Close()) })
		relay, plugins := joined(conn)
		return openMarkNode(t, db, plugins, bunsource.Hooks(db), relay)
	}
	a, b := open(server.URL()), open("nats://"+network.addr())
	model := &markModel{writers: []*bun.DB{a.db, b.db}, committed: map[int64]int64{}}
	rnd := rand.New(rand.NewPCG(13, 6))
	for round, mode := range []proxyMode{refuse, slow, swallow, mute, through} {
		var working sync.WaitGroup
		network.set(mode)
		for writer, nodes := range [][2]*markNode{{a, b}, {b, a}} {
			first := rnd.Int64N(counters)
			working.Go(func() {
				for i := range int64(20) {
					if err := model.write(t.Context(), writer, (first+i)%counters); err != nil {
						t.Errorf("%v", err)
						return
					}
					if i%5 != 0 {
						continue
					}
					before := model.state()
					mark, err := nodes[0].reg.Mark(t.Context())
					if err != nil {
						t.Errorf("%v", err)
						return
					}
					short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
					if err := nodes[1].check(short, mark, before); err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, core.ErrForeignMark) {
						t.Errorf("round %d: %v", round, err)
					}
					cancel()
				}
			})
		}
		working.Wait()
		network.set(through)
		eventually(t, "both nodes show the same", func() error {
			for _, n := range []*markNode{a, b} {
				for c := range n.counters.All() {
					if want := model.state()[c.ID]; c.Value != want {
						return fmt.Errorf("counter %d is %d, want %d", c.ID, c.Value, want)
					}
				}
			}
			if at, bt := a.counters.Version().Token, b.counters.Version().Token; at != bt {
				return fmt.Errorf("versions %s and %s", at, bt)
			}
			return nil
		})
	}
}
