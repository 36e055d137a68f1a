package socketio_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	gorilla "github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/socketio"
)

func TestJoinFollowLeave(t *testing.T) {
	each(t, func(t *testing.T, way string) {
		s := serve(t, socketio.Config{PageRows: 10}, "a", "b")
		s.Put("a", items(1, 25, "")...)
		u := s.dial(way)
		defer u.vanish()
		u.emits("a", "")
		cl := &wiretest.Client{}
		u.follow(cl, s.Token("a"))
		s.Check(cl)
		s.Put("a", items(20, 30, "new")...)
		u.follow(cl, s.Token("a"))
		s.Delete("a", 1, 2, 3)
		u.follow(cl, s.Token("a"))
		s.Check(cl)
		if cl.Syncs != 1 || cl.Changes != 2 {
			t.Errorf("%d syncs, %d changes", cl.Syncs, cl.Changes)
		}

		// Resumed, and looked at.
		u.emits("a", `{"version":"`+cl.Version+`"}`)
		if m := u.says(); string(m.Payload) != `"ok"` {
			t.Errorf("%+v", m)
		}
		u.emits("a", `{"page":2}`)
		if m := u.says(); m.Action != "page" || m.Page != 2 || m.Pages != 3 || len(m.Rows()) != 10 {
			t.Errorf("%+v", m)
		}
		// Left: what follows is of the other binding.
		u.emits("b", "null")
		u.says()
		u.emits("a", `{"disconnect":true}`)
		if m := u.says(); m.Action != "leave" || m.Event != "a" {
			t.Errorf("%+v", m)
		}
		s.Put("a", items(1, 2, "")...)
		s.Put("b", items(1, 2, "")...)
		if m := u.says(); m.Event != "b" || m.Action != "create" {
			t.Errorf("%+v", m)
		}
	})
}

func TestAcknowledgements(t *testing.T) {
	each(t, func(t *testing.T, way string) {
		s := serve(t, socketio.Config{Namespace: "/shop"}, "things")
		u := s.dial(way)
		defer u.vanish()
		u.sends(`421["things"]`)
		u.gets(`431[{"status":200}]`)
		if m := u.says(); m.Action != "sync" {
			t.Errorf("%+v", m)
		}
		for _, c := range []struct {
			sent, event string
			problem     problem.Type
			status      int
		}{
			{`4212["nothing",{}]`, "nothing", problem.TypeUnknownBinding, 404},
			{`420["things",{"page":0}]`, "things", problem.TypeBadParameter, 400},
			{`420["things",{"page":"x"}]`, "things", problem.TypeMalformedMessage, 400},
			{`420["things","text"]`, "things", problem.TypeMalformedMessage, 400},
			{`420["things",[1]]`, "things", problem.TypeMalformedMessage, 400},
			{`420["things",{"params":{"x":1}}]`, "things", problem.TypeBadParameter, 400},
			{`429007199254740991[7]`, "7", problem.TypeUnknownBinding, 404},
			{`420["things",{"page":0},{"page":1}]`, "things", problem.TypeBadParameter, 400},
		} {
			u.sends(c.sent)
			m := u.says()
			if m.Action != "error" || m.Event != c.event || m.Problem() != string(c.problem) || m.Status() != c.status {
				t.Errorf("%s: %+v", c.sent, m)
			}
			id, _, _ := strings.Cut(c.sent[2:], "[")
			ack := u.packet()
			if want := "43" + id + "[" + string(m.Payload) + "]"; ack != want {
				t.Errorf("%s: acknowledged by %s, want %s", c.sent, ack, want)
			}
		}
		if err := u.enter(u.ctx(), "/shop", ""); err != nil {
			t.Fatal(err)
		}
		u.sends(`42/shop,3["things",{"disconnect":true}]`)
		if m, err := decodeEvent(u.packet(), "42/shop,"); err != nil || m.Action != "leave" {
			t.Errorf("%+v, %v", m, err)
		}
		u.gets(`43/shop,3[{"status":200}]`)
		u.sends(`439[{"status":200}]`, `431[]`) // of what was never asked
		u.sends(`421["things",{"disconnect":true}]`)
		u.says()
		u.gets(`431[{"status":200}]`)
	})
}

// Attachments are refused, and skipped: the session lives on.
func TestBinaryAttachments(t *testing.T) {
	each(t, func(t *testing.T, way string) {
		s := serve(t, socketio.Config{}, "things")
		u := s.dial(way)
		defer u.vanish()
		attach := func(header string, n int) {
			t.Helper()
			if way == polling {
				u.sends(append([]string{header}, strings.Split(strings.Repeat("bAQID ", n), " ")[:n]...)...)
				return
			}
			u.sends(header)
			for range n {
				if err := u.ws.WriteMessage(gorilla.BinaryMessage, []byte{1, 2, 3}); err != nil {
					t.Fatal(err)
				}
			}
		}
		attach(`452-5["things",{"page":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1}]`, 2)
		m := u.says()
		if m.Action != "error" || m.Event != "things" || m.Problem() != string(problem.TypeUnsupportedMedia) {
			t.Errorf("%+v", m)
		}
		u.gets("435[" + string(m.Payload) + "]")
		attach(`461-7[{"_placeholder":true,"num":0}]`, 1)
		u.emits("things", "")
		if m := u.says(); m.Action != "sync" {
			t.Errorf("%+v", m)
		}
		// One that nobody announced.
		if way == polling {
			if err, ok := u.send(u.ctx(), "bAQID").(*statusError); !ok || err.status != http.StatusBadRequest {
				t.Errorf("answered %v", err)
			}
		} else if _ = u.ws.WriteMessage(gorilla.BinaryMessage, []byte{1}); u.ends() != gorilla.CloseUnsupportedData {
			t.Error("not closed with 1003")
		}
	})
}

// who is the key of the context's value.
type who struct{}

// guarded lets those whose auth has a token see, within what it says.
func guarded() (socketio.Config, core.Authorizer, *sync.Map) {
	ends := &sync.Map{} // by token, the function that ends it
	cfg := socketio.Config{
		Namespace: "/shop",
		Auth: func(ctx context.Context, namespace string, auth json.RawMessage) (context.Context, error) {
			var given struct{ Token string }
			if err := json.Unmarshal(auth, &given); err != nil {
				return nil, fmt.Errorf("auth %s: %w", auth, err)
			}
			switch given.Token {
			case "bad":
				return nil, errors.New("a bad token, which nobody is told")
			case "panic":
				panic("in Auth")
			case "nil":
				return nil, nil
			}
			ctx, end := context.WithCancel(context.WithValue(ctx, who{}, namespace+" "+given.Token))
			ends.Store(given.Token, end)
			return ctx, nil
		},
	}
	return cfg, core.AuthorizerFunc(func(ctx context.Context, a core.Access) (core.Decision, error) {
		if name, _ := ctx.Value(who{}).(string); strings.HasSuffix(name, " "+a.Binding) || name == "/shop all" {
			return core.Allow(), nil
		}
		return core.Deny(), nil
	}), ends
}

func TestAuth(t *testing.T) {
	each(t, func(t *testing.T, way string) {
		cfg, authorizer, ends := guarded()
		s := newServer(t, cfg, "a", "b")
		_ = s.Reg.Authorize(authorizer)
		s.start()
		defer s.stop()
		u := s.engine(way)
		defer u.vanish()

		// Refused, and allowed to try again.
		for _, auth := range []string{"", `{"token":"bad"}`, `{"token":"panic"}`, `{"token":"nil"}`} {
			u.sends("40" + auth)
			p := u.packet()
			var refused struct {
				Message string
				Data    struct{ Status int }
			}
			if err := json.Unmarshal([]byte(strings.TrimPrefix(p, "44")), &refused); err != nil || refused.Message != "Unauthorized" || refused.Data.Status != 401 {
				t.Errorf("auth %s: %s", auth, p)
			}
		}
		u.sends(`40/elsewhere,{"token":"a"}`)
		u.gets(`44/elsewhere,{"message":"Invalid namespace"}`)

		// Two identities on one session, each with joins of its own.
		if err := errors.Join(u.enter(u.ctx(), "", `{"token":"a"}`), u.enter(u.ctx(), "/shop", `{"token":"all"}`)); err != nil {
			t.Fatal(err)
		}
		expect := func(prefix, event, action string) wiretest.Message {
			t.Helper()
			m, err := decodeEvent(u.packet(), prefix)
			if err != nil || m.Event != event || m.Action != action {
				t.Fatalf("%+v, %v; want %s of %s in %s", m, err, action, event, prefix)
			}
			return m
		}
		u.sends(`42["a"]`)
		expect("42", "a", "sync")
		u.sends(`42["b"]`)
		if m := expect("42", "b", "error"); m.Status() != 403 {
			t.Errorf("%+v", m)
		}
		u.sends(`42/shop,["a"]`, `42/shop,["b"]`)
		expect("42/shop,", "a", "sync")
		expect("42/shop,", "b", "sync")
		s.Put("b", items(1, 1, "")...)
		expect("42/shop,", "b", "create")

		// One is left by the client; the other goes on.
		u.sends("41")
		u.sends(`42["a"]`) // crossed with that, in vain
		wiretest.Eventually(t, "it has left", func() bool { return s.Bindings["a"].Status().Subscribers == 1 })
		s.Put("a", items(1, 1, "")...)
		expect("42/shop,", "a", "create")
		// It comes back as somebody else.
		if err := u.enter(u.ctx(), "", `{"token":"b"}`); err != nil {
			t.Fatal(err)
		}
		u.sends(`42["b"]`)
		expect("42", "b", "sync")
		// And again, without leaving: what it had joined is left.
		if err := u.enter(u.ctx(), "", `{"token":"a"}`); err != nil {
			t.Fatal(err)
		}
		s.Put("b", items(2, 2, "")...)
		expect("42/shop,", "b", "create")

		// The application ends an identity: the client is disconnected from
		// that namespace, and stays in the other.
		end, _ := ends.Load("all")
		end.(context.CancelFunc)()
		u.gets("41/shop,")
		u.sends(`42/shop,["a"]`) // crossed with that
		u.sends(`42["a"]`)
		expect("42", "a", "sync")
		if got := s.sio.Status(); got.Open != 1 {
			t.Errorf("%+v", got)
		}
	})
}

// Without Auth the first request says who asks, also after the upgrade.
func TestMiddlewareSaysWhoAsks(t *testing.T) {
	each(t, func(t *testing.T, way string) {
		s := newServer(t, socketio.Config{}, "a")
		_ = s.Reg.Authorize(core.AuthorizerFunc(func(ctx context.Context, _ core.Access) (core.Decision, error) {
			if ctx.Value(who{}) == "ann" {
				return core.Allow(), nil
			}
			return core.Deny(), nil
		}))
		inner := s.http.Config.Handler
		s.http.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if user := r.Header.Get("User"); user != "" {
				r = r.WithContext(context.WithValue(r.Context(), who{}, user))
			}
			inner.ServeHTTP(w, r)
		})
		s.start()
		defer s.stop()
		for name, action := range map[string]string{"ann": "sync", "bob": "error"} {
			u := &user{t: t}
			c, err := dial(u.ctx(), s.http.Client(), s.http.URL, way, http.Header{"User": {name}})
			if err != nil {
				t.Fatal(err)
			}
			u.client = c
			u.emits("a", "")
			if m := u.says(); m.Action != action {
				t.Errorf("%s: %+v", name, m)
			}
			u.vanish()
		}
	})
}

func TestJoinsAreBounded(t *testing.T) {
	s := serve(t, socketio.Config{MaxJoins: 2, Namespace: "/shop"}, "a", "b", "c")
	u := s.dial(websocket)
	defer u.vanish()
	if err := u.enter(u.ctx(), "/shop", ""); err != nil {
		t.Fatal(err)
	}
	u.emits("a", "")
	u.says()
	u.sends(`42/shop,["a"]`)
	if m, err := decodeEvent(u.packet(), "42/shop,"); err != nil || m.Action != "sync" {
		t.Errorf("%+v, %v", m, err)
	}
	u.emits("b", "")
	if m := u.says(); m.Problem() != string(problem.TypeTooMany) {
		t.Errorf("%+v", m)
	}
	u.sends("41/shop,")
	u.emits("b", "")
	if m := u.says(); m.Action != "sync" {
		t.Errorf("%+v", m)
	}
}

func TestMountReportsProblems(t *testing.T) {
	for name, cfg := range map[string]socketio.Config{
		"WriteTimeout":    {WriteTimeout: -1},
		"PingTimeout":     {PingTimeout: -1},
		"millisecond":     {PingInterval: 5},
		"bytes":           {MessageBytes: 1},
		"shop.example":    {Origins: []string{"shop.example"}},
		"with a slash":    {Namespace: "shop"},
		"contains":        {Namespace: "/a,b"},
		"MaxJoins":        {MaxJoins: -1},
		"MaxRequestBytes": {MaxRequestBytes: -1},
	} {
		s := newServer(t, cfg)
		_ = s.Reg.Serve(s.sio)
		if err := s.Reg.Start(t.Context()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, tr := range map[string]*socketio.Transport{
		"the group is nil":            socketio.New(nil),
		"more than one configuration": socketio.New(echo.New().Group(""), socketio.Config{}, socketio.Config{}),
	} {
		reg := core.NewRegistry()
		_ = reg.Serve(tr)
		if err := reg.Start(t.Context()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
