package together_test

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/followsource"
	"github.com/binderyhq/bindery/transports/sse"
)

// branchNode is a registry over the accounts, or over those of another node, at an
// address that it keeps when it is started again.
type branchNode struct {
	t    testing.TB
	bind func() []core.Bindable // and watch, for those who read the database
	db   *bun.DB                // nil: it follows
	addr string
	also func() core.Transport // nil, or makes a transport beside event streams

	reg  *core.Registry
	http *httptest.Server
	*versionsSeen
}

// versionsSeen are all that a node has ever published.
type versionsSeen struct {
	mu   sync.Mutex                   // guards what follows
	had  map[string]map[string]uint64 // binding, token: a digest of the rows
	torn []error
}

var versionSeed = maphash.MakeSeed()

// Name implements [core.Plugin].
func (*versionsSeen) Name() string { return "versions" }

// Start implements [core.Plugin].
func (*versionsSeen) Start(context.Context, *core.Registry) error { return nil }

// Shutdown implements [core.Plugin].
func (*versionsSeen) Shutdown(context.Context) error { return nil }

// Published implements [core.PublishObserver]: it audits every version.
func (s *versionsSeen) Published(v *live.View, e *live.Event) {
	snap := v.Snapshot() // nothing is published before this returns
	var sum int64
	for r := range snap.Rows() {
		sum += r.Value().(*account).Balance
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.had[v.Name()] == nil {
		s.had[v.Name()] = make(map[string]uint64)
	}
	s.had[v.Name()][snap.Version().Token] = maphash.Bytes(versionSeed, snap.Body())
	want := int64(bankAccounts * openingSum)
	if v.Name() == "branch" || v.Name() == "opaque" {
		want /= bankBranches
	}
	if sum != want {
		s.torn = append(s.torn, fmt.Errorf("%s at %s has a total of %d, want %d", v.Name(), e.Version.Token, sum, want))
	}
}

// noted reports whether a version has been audited.
func (s *versionsSeen) noted(name, token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.had[name][token]
	return ok
}

func (n *branchNode) start() {
	n.t.Helper()
	e := echo.New()
	n.reg = core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), LoadWait: -1}.NewRegistry()
	must(n.t, n.reg.Add(n.bind()...))
	if n.db != nil {
		must(n.t, n.reg.Watch(bunsource.Hooks(n.db)))
	}
	must(n.t, n.reg.Use(n.versionsSeen))
	must(n.t, n.reg.Serve(sse.New(e.Group("/events"), sse.Config{PageRows: 50, Heartbeat: 50 * time.Millisecond, Retry: time.Millisecond})))
	if n.also != nil {
		must(n.t, n.reg.Serve(n.also()))
	}
	must(n.t, n.reg.Start(n.t.Context()))
	n.http = httptest.NewUnstartedServer(e)
	if n.addr != "" {
		_ = n.http.Listener.Close()
		n.http.Listener = wiretest.Listen(n.t, n.addr)
	}
	n.http.Start()
	n.addr = n.http.Listener.Addr().String()
}

func (n *branchNode) stop() {
	n.t.Helper()
	n.http.CloseClientConnections()
	shutdown(n.t, n.reg)
	n.http.Close()
}

// TestBankAtFollowers: while tellers work, networks between an origin, its followers
// and a follower of these are cut and slowed, and nodes restart. Every version that
// any of them shows has the right total, and is one that the origin has had, with the
// same rows; in the end all show the same.
func TestBankAtFollowers(t *testing.T) {
	db, plain := openSQLite(t)
	createBank(t, plain)
	seen := func() *versionsSeen { return &versionsSeen{had: make(map[string]map[string]uint64)} }
	origin := &branchNode{t: t, db: db, versionsSeen: seen(), bind: func() []core.Bindable {
		return []core.Bindable{
			bunsource.Bind[account](db, "all"),
			bunsource.Bind[account](db, "richest", core.OrderBy("-balance"), core.Limit(bankAccounts)),
			bunsource.Bind[account](db, "branch", core.Where(filter.Eq("branch", 0)), core.OrderBy("balance")),
			bunsource.Bind[account](db, "opaque", bunsource.Where(func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("branch + 0 = 1") })),
		}
	}}
	names := []string{"all", "richest", "branch", "opaque"}
	cfg := followsource.Config{MinWait: time.Millisecond, MaxWait: 50 * time.Millisecond, Silence: 300 * time.Millisecond}
	var links []*proxy
	var origins []*followsource.Origin
	follow := func(of *branchNode) *branchNode {
		link := newProxy(t, of.addr)
		o := followsource.New("http://"+link.listener.Addr().String()+"/events", cfg)
		links, origins = append(links, link), append(origins, o)
		return &branchNode{t: t, versionsSeen: seen(), bind: func() (all []core.Bindable) {
			for _, name := range names {
				all = append(all, followsource.Bind[account](o, name))
			}
			return all
		}}
	}
	origin.start()
	first, second := follow(origin), follow(origin)
	first.start()
	second.start()
	last := follow(first)
	last.start()
	nodes := []*branchNode{origin, first, second, last}
	defer func() {
		for i := range nodes {
			nodes[len(nodes)-1-i].stop()
		}
	}()

	// Faults come while the tellers work, and a few beyond that.
	working, over := context.WithCancel(context.Background())
	var faults sync.WaitGroup
	restarts := 0
	faults.Go(func() {
		rnd := rand.New(rand.NewPCG(7, 7))
		for n := 0; n < 25 || working.Err() == nil; n++ {
			link := links[rnd.IntN(len(links))]
			switch rnd.IntN(8) {
			case 0:
				origin.stop()
				origin.start()
				restarts++
			case 1:
				first.stop()
				first.start()
				restarts++
			case 2, 3:
				link.set(slow)
			case 4:
				link.set(refuse)
			case 5:
				link.set(swallow)
			default:
				link.set(through)
			}
			time.Sleep(time.Duration(rnd.IntN(30)) * time.Millisecond) // paces the faults; nothing depends on it
		}
		for _, link := range links {
			link.set(through)
		}
	})
	workDay(t, db)
	over()
	faults.Wait()

	for _, name := range names {
		eventually(t, "all nodes show the same "+name, func() error {
			want, _ := origin.reg.Lookup(name)
			if !origin.noted(name, want.Version().Token) {
				return errors.New("the origin has not noted its last version") // clients may see it before
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
	for i, n := range nodes {
		n.mu.Lock()
		if err := errors.Join(n.torn...); err != nil {
			t.Errorf("node %d: %v", i, err)
		}
		versions := 0
		for _, name := range names {
			for token, rows := range n.had[name] {
				versions++
				if want, ok := origin.had[name][token]; i > 0 && (!ok || rows != want) {
					t.Errorf("node %d shows %s at %s, which the origin had: %v, with the same rows: %v", i, name, token, ok, rows == want)
				}
			}
		}
		t.Logf("node %d has shown %d versions", i, versions)
		if i > 0 {
			n.mu.Unlock() // the origin's are read until the end
		}
	}
	origin.mu.Unlock()
	for _, o := range origins {
		s := o.Status()
		t.Logf("%+v", s)
		if s.Mismatches > 0 {
			t.Errorf("%d versions did not come out as they should", s.Mismatches)
		}
	}
	t.Logf("%d restarts", restarts)
}
