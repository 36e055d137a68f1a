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

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/jetsource"
	"github.com/binderyhq/bindery/sources/sourcetest/natstest"
	binderynats "github.com/binderyhq/bindery/transports/nats"
)

// TestBankOverJetStream: while tellers work, two origins publish over JetStream, one in
// place of the other, and two followers read. Their networks to the server are cut and
// slowed, and lose what is sent; the server, the origins and the followers restart. Every
// version that a follower shows has the right total, and is one that an origin has had,
// with the same rows; in the end all show the same, and marks are reached.
func TestBankOverJetStream(t *testing.T) {
	db, plain := openSQLite(t)
	createBank(t, plain)
	server := natstest.StartJetStream(t)
	var links []*proxy
	connect := func() *nats.Conn {
		link := newProxy(t, strings.TrimPrefix(server.URL(), "nats://"))
		links = append(links, link)
		conn, err := nats.Connect("nats://"+link.addr(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.ReconnectJitter(0, 0),
			nats.PingInterval(200*time.Millisecond), nats.MaxPingsOutstanding(2), nats.Timeout(5*time.Second))
		must(t, err)
		t.Cleanup(conn.Close)
		return conn
	}
	seen := func() *versionsSeen { return &versionsSeen{had: make(map[string]map[string]uint64)} }
	publisher := func() *branchNode {
		conn := connect()
		return &branchNode{t: t, db: db, versionsSeen: seen(), bind: func() []core.Bindable {
			return []core.Bindable{
				bunsource.Bind[account](db, "all"),
				bunsource.Bind[account](db, "branch", core.Where(filter.Eq("branch", 0)), core.OrderBy("balance")),
			}
		}, also: func() core.Transport {
			return binderynats.New(conn, binderynats.Config{Beat: 50 * time.Millisecond, AckTimeout: time.Second, MinSnapshot: 4 << 10, PageRows: 50})
		}}
	}
	names := []string{"all", "branch"}
	var origins []*jetsource.Origin
	follower := func() *branchNode {
		o := jetsource.New(connect(), jetsource.Config{Silence: time.Second, Timeout: 2 * time.Second})
		origins = append(origins, o)
		return &branchNode{t: t, versionsSeen: seen(), bind: func() (all []core.Bindable) {
			for _, name := range names {
				all = append(all, jetsource.Bind[account](o, name))
			}
			return all
		}}
	}
	first, second := publisher(), publisher()
	nodes := []*branchNode{first, second, follower(), follower()}
	for _, n := range nodes {
		n.start()
	}
	defer func() {
		for _, n := range nodes {
			n.stop()
		}
	}()

	working, over := context.WithCancel(context.Background())
	var faults sync.WaitGroup
	faults.Go(func() {
		rnd := rand.New(rand.NewPCG(13, 7))
		for n := 0; n < 25 || working.Err() == nil; n++ {
			link := links[rnd.IntN(len(links))]
			switch kind := rnd.IntN(12); {
			case n%25 == 12:
				server.Stop()
				server.Restart(t)
			case kind == 0:
				node := nodes[rnd.IntN(len(nodes))]
				node.stop()
				node.start()
			case kind <= 2:
				link.set(slow)
			case kind == 3:
				link.set(refuse)
			case kind == 4:
				link.set(swallow)
			default:
				link.set(through)
			}
			time.Sleep(time.Duration(rnd.IntN(100)) * time.Millisecond) // paces the faults; nothing depends on it
		}
		for _, link := range links {
			link.set(through)
		}
	})
	workDay(t, db)
	// Connections take longer to come back than the tellers work.
	rnd := rand.New(rand.NewPCG(7, 13))
	for range 60 {
		_ = transfers["RunInTx"](t.Context(), db, rnd) // it may be refused
	}
	over()
	faults.Wait()

	for _, name := range names {
		eventually(t, "all nodes show the same "+name, func() error {
			want, _ := first.reg.Lookup(name)
			if !first.noted(name, want.Version().Token) {
				return errors.New("the origin has not noted its last version")
			}
			for i, n := range nodes[1:] {
				v, ok := n.reg.Lookup(name)
				if !ok || v.Version().Token != want.Version().Token || n.reg.StatusOf(v).State != status.Live {
					return fmt.Errorf("node %d is at %v, %v", i+1, v.Version(), n.reg.StatusOf(v))
				}
			}
			return nil
		})
	}
	// One of the origins publishes each binding, and knows its own marks.
	for i, n := range nodes[2:] {
		for _, name := range names {
			eventually(t, "a mark is reached", func() error {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				view, _ := n.reg.Lookup(name)
				var errs []error
				for _, origin := range nodes[:2] {
					mark, err := origin.reg.Mark(ctx)
					if err == nil {
						err = n.reg.Reach(ctx, mark, view)
					}
					if err == nil {
						return nil
					}
					errs = append(errs, err)
				}
				return fmt.Errorf("follower %d: %w", i, errors.Join(errs...))
			})
		}
	}

	for _, n := range nodes {
		n.mu.Lock()
		defer n.mu.Unlock()
	}
	for i, n := range nodes {
		if err := errors.Join(n.torn...); err != nil {
			t.Errorf("node %d: %v", i, err)
		}
		versions := 0
		for _, name := range names {
			for token, rows := range n.had[name] {
				versions++
				a, ok := first.had[name][token]
				b, too := second.had[name][token]
				if (!ok || a != rows) && (!too || b != rows) {
					t.Errorf("node %d shows %s at %s, which an origin had: %v, %v, with the same rows: %v, %v", i, name, token, ok, too, a == rows, b == rows)
				}
			}
		}
		t.Logf("node %d has shown %d versions", i, versions)
	}
	for _, o := range origins {
		s := o.Status()
		t.Logf("%+v", s)
		if s.Mismatches > 0 {
			t.Errorf("%d versions did not come out as they should", s.Mismatches)
		}
	}
}
