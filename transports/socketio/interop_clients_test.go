package socketio_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/socketio"
)

// stock runs the test with each stock client, in each way, several at a time: they
// wait for one another most of the time.
func stock(t *testing.T, run func(t *testing.T, p *program, transports []string, finally string)) {
	t.Helper()
	stockPrograms(t, func(t *testing.T, start func(*testing.T) *program, transports []string, finally string) {
		run(t, start(t), transports, finally)
	})
}

// stockPrograms is stock for tests that start the client's program themselves.
func stockPrograms(t *testing.T, run func(t *testing.T, start func(*testing.T) *program, transports []string, finally string)) {
	t.Helper()
	for name, start := range map[string]func(*testing.T) *program{"node": startNode, "python": startPython} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, way := range stockWays {
				t.Run(way.name, func(t *testing.T) {
					t.Parallel()
					run(t, start, way.transports, way.finally)
				})
			}
		})
	}
}

// Stock clients join, follow and leave several bindings and members of families,
// and are answered.
func TestStockClients(t *testing.T) {
	stock(t, func(t *testing.T, p *program, transports []string, finally string) {
		s := newShop(t, socketio.Config{PageRows: 10})
		s.open()
		defer s.close()
		defer p.end()
		p.do("open", map[string]any{"id": 1, "url": s.url(), "transports": transports})
		p.next("connect")
		emit := func(event string, args ...any) string {
			t.Helper()
			p.do("emit", map[string]any{"id": 1, "event": event, "args": args, "ack": true})
			return string(p.next("ack", "message").Answer)
		}

		// One binding: a sync in pages, and what changes.
		cl := &wiretest.Client{}
		p.do("emit", map[string]any{"id": 1, "event": "products"})
		p.follow(s, cl)
		for i := range 5 {
			s.put(items(3*i+1, 3*i+5, strings.Repeat("é", i+1))...)
			p.follow(s, cl)
		}
		if cl.Syncs != 1 || cl.Changes != 5 {
			t.Errorf("%d syncs, %d changes", cl.Syncs, cl.Changes)
		}
		if finally == websocket {
			wiretest.Eventually(t, "it is on WebSocket", func() bool { return s.sio.Status().Polling == 0 })
		}

		// Resumed, looked at, and others beside it.
		p.do("emit", map[string]any{"id": 1, "event": "products", "args": []any{map[string]any{"version": cl.Version}}})
		if m := p.message("products"); string(m.Payload) != `"ok"` {
			t.Errorf("%+v", m)
		}
		p.do("emit", map[string]any{"id": 1, "event": "products", "args": []any{map[string]any{"page": 2}}})
		if m := p.message("products"); m.Action != "page" || m.Page != 2 || len(m.Rows()) != 10 {
			t.Errorf("%+v", m)
		}
		p.do("emit", map[string]any{"id": 1, "event": "first"})
		if m := p.message("first"); m.Action != "sync" || len(m.Rows()) != 3 {
			t.Errorf("%+v", m)
		}
		member := map[string]any{"params": map[string]any{"name": "item 20"}}
		p.do("emit", map[string]any{"id": 1, "event": "named", "args": []any{member}})
		if m := p.message("named"); m.Action != "sync" || len(m.Rows()) != 1 || string(m.Params) != `{"name":"item 20"}` {
			t.Errorf("%+v", m)
		}
		p.do("emit", map[string]any{"id": 1, "event": "products", "args": []any{map[string]any{"disconnect": true}}})
		if m := p.message("products"); m.Action != "leave" {
			t.Errorf("%+v", m)
		}
		s.put(wiretest.Item{ID: 20, Name: "item 20", Note: "changed"})
		if m := p.message("named"); m.Action != "update" || m.Rows()[0]["note"] != "changed" {
			t.Errorf("%+v", m)
		}

		// Acknowledgements, of what is done and of what is not.
		if got := emit("first"); got != `{"status":200}` {
			t.Errorf("a join was acknowledged by %s", got)
		}
		p.message("first")
		for event, want := range map[string]problem.Type{"nothing": problem.TypeUnknownBinding, "named": problem.TypeBadParameter} {
			p.do("emit", map[string]any{"id": 1, "event": event, "ack": true})
			if m := p.message(event); m.Action != "error" || m.Problem() != string(want) {
				t.Errorf("%+v", m)
			}
			if got := p.next("ack").Answer; !strings.Contains(string(got), string(want)) {
				t.Errorf("%s was acknowledged by %s", event, got)
			}
		}
		p.do("binary", map[string]any{"id": 1, "event": "products"})
		if m := p.message("products"); m.Problem() != string(problem.TypeUnsupportedMedia) {
			t.Errorf("%+v", m)
		}
		p.next("ack")

		p.do("close", map[string]any{"id": 1})
		p.next("disconnect")
		wiretest.Eventually(t, "its session has ended", func() bool { return s.sio.Status().Open == 0 })
	})
}

// When the server restarts clients come back by themselves. One that names its
// version goes on from it; a page of the ancestor's, which does not, gets a sync.
func TestStockClientsAfterARestart(t *testing.T) {
	stock(t, func(t *testing.T, p *program, transports []string, _ string) {
		for _, resume := range []bool{false, true} {
			s := newShop(t, socketio.Config{})
			s.open()
			p.do("open", map[string]any{"id": 1, "url": s.url(), "transports": transports, "join": []string{"products"}, "resume": resume, "settle": true})
			p.next("connect")
			cl := &wiretest.Client{}
			p.follow(s, cl)
			for range 2 {
				s.close()
				p.next("disconnect")
				s.open()
				p.next("connect", "connect_error")
				if !resume {
					p.follow(s, cl)
				} else if m := p.message("products"); string(m.Payload) != `"ok"` || m.Version != cl.Version {
					t.Errorf("after a restart: %+v", m)
				}
				s.put(items(1, 2, time.Now().String())...)
				p.follow(s, cl)
			}
			p.do("close", map[string]any{"id": 1})
			p.next("disconnect")
			s.close()
		}
		p.end()
	})
}

// rights lets ann see all, bob the rows named "item 1", and says to others that
// they have to say who they are. Those in sent away may see nothing any more.
type rights struct {
	mu   sync.Mutex
	away map[string]bool // guarded by mu
}

func (r *rights) Authorize(ctx context.Context, _ core.Access) (core.Decision, error) {
	name, _ := ctx.Value(who{}).(string)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.away[name]:
		return core.Deny(), nil
	case name == "ann":
		return core.Allow(), nil
	case name == "bob":
		return core.AllowWhere(filter.Eq("name", "item 1")), nil
	case name == "eve":
		return core.Deny(), nil
	}
	return core.Unauthenticated(`Bearer realm="shop"`), nil
}

// Who asks is said by auth, and decides what stock clients see, also later.
func TestStockClientsRights(t *testing.T) {
	stock(t, func(t *testing.T, p *program, transports []string, _ string) {
		r := &rights{away: map[string]bool{}}
		s := newShop(t, socketio.Config{Auth: func(ctx context.Context, _ string, auth json.RawMessage) (context.Context, error) {
			var given struct{ User string }
			if len(auth) > 0 {
				if err := json.Unmarshal(auth, &given); err != nil {
					return nil, err
				}
			}
			if given.User == "mallory" {
				return nil, errors.New("not in my shop")
			}
			return context.WithValue(ctx, who{}, given.User), nil
		}})
		s.auth = r
		s.open()
		defer s.close()
		defer p.end()
		id := 0
		open := func(user string) {
			id++
			p.do("open", map[string]any{"id": id, "url": s.url(), "transports": transports, "auth": map[string]any{"user": user}})
		}
		for _, c := range []struct {
			user   string
			status int // of the error
			rows   int
			member int // rows of a member that is not bob's
		}{{"ann", 0, 25, 1}, {"bob", 0, 1, 0}, {"eve", 403, 0, 0}, {"", 401, 0, 0}} {
			open(c.user)
			p.next("connect")
			for event, want := range map[string]int{"products": c.rows, "named": c.member} {
				p.do("emit", map[string]any{"id": id, "event": event, "args": []any{map[string]any{"params": paramsOf(event)}}})
				m := p.message(event)
				if m.Status() != c.status || c.status == 0 && (m.Action != "sync" || len(m.Rows()) != want) {
					t.Errorf("%q sees of %s: %+v", c.user, event, m)
				}
			}
			if c.status != 0 {
				p.do("close", map[string]any{"id": id})
				p.next("disconnect")
			}
		}
		open("mallory")
		if refused := p.next("connect_error"); refused.Why != "Unauthorized" || !strings.Contains(string(refused.Data), "401") {
			t.Errorf("%+v %s", refused, refused.Data)
		}

		// What one may not see does not come; what may no longer be seen ends.
		s.put(wiretest.Item{ID: 3, Name: "item 3", Note: "for ann"})
		if r := p.next("message"); r.ID != 1 || r.Event != "products" {
			t.Errorf("%d was told of %s: %s", r.ID, r.Event, r.Message)
		}
		r.mu.Lock()
		r.away["ann"] = true
		r.mu.Unlock()
		if err := s.reg.Reauthorize(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the products and the member
			if r := p.next("message"); r.ID != 1 || !strings.Contains(string(r.Message), `403`) {
				t.Errorf("%d was told %s", r.ID, r.Message)
			}
		}
		s.put(wiretest.Item{ID: 1, Name: "item 1", Note: "for bob"})
		if r := p.next("message"); r.ID != 2 || r.Event != "products" {
			t.Errorf("%d was told of %s: %s", r.ID, r.Event, r.Message)
		}
	})
}

func paramsOf(event string) map[string]any {
	if event == "named" {
		return map[string]any{"name": "item 2"}
	}
	return map[string]any{}
}

// wall is a proxy that can stop passing on, without a word.
type wall struct {
	listener net.Listener
	mu       sync.Mutex // guards what follows
	through  bool
	conns    []net.Conn
}

func newWall(t *testing.T, to string) *wall {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wall{listener: l, through: true}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err == nil && !w.passing() {
				_ = out.Close()
				err = net.ErrClosed
			}
			if err != nil { // who comes anew is turned away
				_ = c.Close()
				continue
			}
			w.mu.Lock()
			w.conns = append(w.conns, c, out)
			w.mu.Unlock()
			wg.Go(func() { w.pass(out, c) })
			wg.Go(func() { w.pass(c, out) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		w.mu.Lock()
		for _, c := range w.conns {
			_ = c.Close()
		}
		w.mu.Unlock()
		wg.Wait()
	})
	return w
}

func (w *wall) passing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.through
}

func (w *wall) set(through bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.through = through
}

// pass passes on until the wall is up, and swallows from then on: connections from
// before stay half-open for good.
func (w *wall) pass(to, from net.Conn) {
	open := true
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			if open && w.passing() {
				_ = to.Close()
			}
			return
		}
		if open = open && w.passing(); open {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	}
}

// A connection that is only half open is found by both ends, and the client comes
// back on another.
func TestStockClientsHalfOpen(t *testing.T) {
	stockPrograms(t, func(t *testing.T, start func(*testing.T) *program, transports []string, _ string) {
		wiretest.Patiently(t, 800*time.Millisecond, func(try wiretest.TB, timeout time.Duration) {
			s := newShop(t, socketio.Config{PingInterval: timeout / 4, PingTimeout: timeout})
			s.open()
			defer s.close()
			p := start(t)
			defer p.end()
			p.t = try
			w := newWall(t, s.addr)
			p.do("open", map[string]any{
				"id": 1, "url": "http://" + w.listener.Addr().String(), "transports": transports, "join": []string{"products"},
				"patience": 6 * timeout.Seconds(), // with connections that the wall swallows
			})
			p.next("connect")
			cl := &wiretest.Client{}
			p.follow(s, cl)
			if len(transports) > 1 {
				wiretest.Eventually(try, "it is on WebSocket", func() bool { return s.sio.Status().Polling == 0 })
			}
			w.set(false)
			wiretest.Eventually(try, "the server finds out", func() bool { return s.sio.Status().Dropped == 1 })
			w.set(true)
			p.next("disconnect")
			s.put(items(1, 2, "meanwhile")...)
			p.next("connect", "connect_error")
			p.follow(s, cl)
		})
	})
}

// Five hundred stock clients, of every kind, see the same. One program runs them all, so
// they are pinged seldom: a busy machine would do nothing else, and be late all the same.
func TestStockClientsInACrowd(t *testing.T) {
	s := newShop(t, socketio.Config{PingInterval: 20 * time.Second, PingTimeout: time.Minute})
	s.open()
	defer s.close()
	p := startNode(t)
	defer p.end()
	var ways [][]string
	for _, way := range stockWays {
		ways = append(ways, way.transports)
	}
	const n = 500
	p.do("crowd", map[string]any{"id": 1, "url": s.url(), "n": n, "ways": ways, "event": "products"})
	for round := range 5 {
		if round > 0 {
			s.put(items(round, round+3, strings.Repeat("x", round))...)
		}
		p.do("await", map[string]any{"version": s.token()})
		p.next("all")
	}
	if got := s.sio.Status(); got.Open != n || got.Dropped != 0 || got.Refused != 0 {
		t.Errorf("%+v", got)
	}
	wiretest.Eventually(t, "a third polls", func() bool { return s.sio.Status().Polling <= n/3+1 })
	p.do("disperse", map[string]any{})
	wiretest.Eventually(t, "all have left", func() bool { return s.sio.Status().Open == 0 })
}
