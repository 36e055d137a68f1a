package websocket_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/websocket"
)

func items(from, to int, note string) []wiretest.Item {
	var list []wiretest.Item
	for id := from; id <= to; id++ {
		list = append(list, wiretest.Item{ID: id, Name: fmt.Sprintf("item %d", id), Note: note})
	}
	return list
}

func TestSyncThenChanges(t *testing.T) {
	s := serve(t, websocket.Config{PageRows: 10}, "things")
	s.Put("things", items(1, 25, "")...)
	c := s.dial()
	defer c.close()
	c.send(`{"event":"things","version":"","more":1,"VERSION":7}`) // unknown fields are ignored
	cl := &wiretest.Client{}
	c.follow(cl, s.Token("things"))
	s.Check(cl)
	s.Put("things", items(20, 30, "new")...)
	c.follow(cl, s.Token("things"))
	s.Delete("things", 1, 2, 3)
	c.follow(cl, s.Token("things"))
	s.Check(cl)
	if cl.Syncs != 1 || cl.Changes != 2 {
		t.Errorf("%d syncs, %d changes", cl.Syncs, cl.Changes)
	}
}

func TestResume(t *testing.T) {
	s := serve(t, websocket.Config{}, "things")
	s.Put("things", items(1, 5, "")...)
	old := s.Token("things")
	cl := &wiretest.Client{}
	c := s.dial()
	c.send(`{"event":"things"}`)
	c.follow(cl, old)
	c.close()

	c = s.dial()
	c.send(`{"event":"things","version":"` + old + `-zstd"}`)
	if m := c.next(); string(m.Payload) != `"ok"` || m.Version != old {
		t.Errorf("at the current version: %+v", m)
	}
	c.close()

	s.Put("things", items(4, 8, "new")...)
	c = s.dial()
	c.send(`{"event":"things","version":"` + old + `"}`)
	c.follow(cl, s.Token("things"))
	s.Check(cl)
	if cl.Syncs != 1 || cl.Changes != 1 {
		t.Errorf("%d syncs, %d changes", cl.Syncs, cl.Changes)
	}
	c.close()

	c = s.dial()
	defer c.close()
	c.send(`{"event":"things","version":"nonsense"}`)
	c.follow(cl, s.Token("things"))
	if cl.Syncs != 2 {
		t.Errorf("%d syncs", cl.Syncs)
	}
}

func TestRejoinStartsAfresh(t *testing.T) {
	s := serve(t, websocket.Config{PageRows: 2}, "things")
	s.Put("things", items(1, 9, "")...)
	c := s.dial()
	defer c.close()
	cl := &wiretest.Client{}
	c.send(`{"event":"things"}`)
	c.follow(cl, s.Token("things"))
	c.send(`{"event":"things"}`)
	c.follow(cl, s.Token("things"))
	if cl.Syncs != 2 {
		t.Errorf("%d syncs", cl.Syncs)
	}
	old := cl.Version
	c.send(`{"event":"things","version":"` + old + `"}`)
	if m := c.next(); string(m.Payload) != `"ok"` {
		t.Errorf("rejoined at what was sent last: %+v", m)
	}
	// The rejoin crosses with a change: what the client said it had is void.
	s.Put("things", items(1, 1, "new")...)
	c.follow(cl, s.Token("things"))
	s.Put("things", items(1, 1, "")...)
	c.follow(cl, old)
	s.Put("things", items(1, 1, "newer")...)
	c.follow(cl, s.Token("things"))
	c.send(`{"event":"things","version":"` + old + `"}`)
	if m := c.next(); m.Action != "sync" || m.Page != 1 {
		t.Errorf("rejoined at an older version: %+v", m)
	}
	// One subscription is left, whatever was joined how often.
	if got := s.Bindings["things"].Status().Subscribers; got != 1 {
		t.Errorf("%d subscribers", got)
	}
}

func TestLeave(t *testing.T) {
	s := serve(t, websocket.Config{PageRows: 1}, "things", "others")
	s.Put("things", items(1, 200, "")...)
	s.Put("others", items(1, 1, "")...)
	c := s.dial()
	defer c.close()
	// In the midst of a sync; nothing comes after the confirmation.
	c.send(`{"event":"things"}`)
	c.send(`{"event":"others"}`)
	c.send(`{"event":"things","disconnect":true}`)
	for m := c.next(); m.Action != "leave"; m = c.next() {
		if m.Event != "things" && m.Event != "others" {
			t.Fatalf("%+v", m)
		}
	}
	s.Put("things", items(1, 1, "new")...)
	s.Put("others", items(2, 2, "new")...)
	for m := c.next(); ; m = c.next() {
		if m.Event == "things" {
			t.Fatalf("after the leave: %+v", m)
		}
		if m.Version == s.Token("others") {
			break
		}
	}
	if got := s.Bindings["things"].Status().Subscribers; got != 0 {
		t.Errorf("%d subscribers", got)
	}
	// Leaving and joining in one breath: the confirmation comes first.
	for range 20 {
		c.send(`{"event":"others","disconnect":true}`)
		c.send(`{"event":"others"}`)
		if m := c.next(); m.Action != "leave" || m.Event != "others" {
			t.Fatalf("%+v", m)
		}
		for m := c.next(); m.More; m = c.next() {
			if m.Action != "sync" {
				t.Fatalf("%+v", m)
			}
		}
	}
	// Leaving what was never joined is confirmed too.
	c.send(`{"event":"nope","disconnect":true}`)
	if m := c.next(); m.Action != "leave" || m.Event != "nope" {
		t.Errorf("%+v", m)
	}
}

func TestPageLookUp(t *testing.T) {
	s := serve(t, websocket.Config{PageRows: 2}, "things")
	s.Put("things", items(1, 5, "")...)
	c := s.dial()
	defer c.close()
	for page, rows := range map[int]int{1: 2, 3: 1, 4: 0} {
		c.send(fmt.Sprintf(`{"event":"things","page":%d}`, page))
		if m := c.next(); m.Action != "page" || m.Page != page || m.Pages != 3 || len(m.Rows()) != rows || m.Version != s.Token("things") || m.More {
			t.Errorf("page %d: %+v", page, m)
		}
	}
	if got := s.Bindings["things"].Status().Subscribers; got != 0 {
		t.Errorf("%d subscribers", got)
	}
}

func TestBadRequests(t *testing.T) {
	s := serve(t, websocket.Config{MaxJoins: 1}, "things", "others")
	c := s.dial()
	defer c.close()
	for _, r := range []struct {
		text, event string
		kind        problem.Type
	}{
		{`{`, "", problem.TypeMalformedMessage},
		{``, "", problem.TypeMalformedMessage},
		{`[]`, "", problem.TypeMalformedMessage},
		{`null`, "", problem.TypeMalformedMessage},
		{`{"event":"things"} {}`, "", problem.TypeMalformedMessage},
		{`{}`, "", problem.TypeMalformedMessage},
		{`{"event":7}`, "", problem.TypeMalformedMessage},
		{`{"event":""}`, "", problem.TypeMalformedMessage},
		{`{"EVENT":"things"}`, "", problem.TypeMalformedMessage},
		{`{"event":"things","version":7}`, "things", problem.TypeMalformedMessage},
		{`{"event":"things","page":"1"}`, "things", problem.TypeMalformedMessage},
		{`{"event":"things","page":1.5}`, "things", problem.TypeMalformedMessage},
		{`{"event":"things","page":0}`, "things", problem.TypeBadParameter},
		{`{"event":"things","disconnect":1}`, "things", problem.TypeMalformedMessage},
		{`{"event":"things","params":[]}`, "things", problem.TypeMalformedMessage},
		{`{"event":"things","params":{"user":1}}`, "things", problem.TypeBadParameter},
		{`{"event":"nope"}`, "nope", problem.TypeUnknownBinding},
		{`{"event":"nope","page":1}`, "nope", problem.TypeUnknownBinding},
	} {
		c.send(r.text)
		if m := c.next(); m.Action != "error" || m.Event != r.event || m.Problem() != string(r.kind) {
			t.Errorf("%s: %+v", r.text, m)
		}
	}
	// The connection lives on, and is bounded in its joins.
	c.send(`{"event":"things","params":{}}`)
	if m := c.next(); m.Action != "sync" {
		t.Errorf("%+v", m)
	}
	c.send(`{"event":"others"}`)
	if m := c.next(); m.Action != "error" || m.Event != "others" || m.Problem() != string(problem.TypeTooMany) {
		t.Errorf("%+v", m)
	}
	c.send(`{"event":"things","disconnect":true}`)
	c.next()
	c.send(`{"event":"others"}`)
	if m := c.next(); m.Action != "sync" || m.Event != "others" {
		t.Errorf("%+v", m)
	}
}

func TestHostileMessagesCloseTheConnection(t *testing.T) {
	s := serve(t, websocket.Config{}, "things")
	for _, h := range []struct {
		kind int
		data string
		code int
	}{
		{gorilla.TextMessage, `{"event":"` + strings.Repeat("x", 64<<10) + `"}`, gorilla.CloseMessageTooBig},
		{gorilla.TextMessage, strings.Repeat("x", 4<<20), gorilla.CloseMessageTooBig},
		{gorilla.BinaryMessage, `{"event":"things"}`, gorilla.CloseUnsupportedData},
		{gorilla.TextMessage, "{\"event\":\"thin\xffgs\"}", gorilla.CloseInvalidFramePayloadData},
	} {
		c := s.dial()
		_ = c.WriteMessage(h.kind, []byte(h.data)) // may be cut short
		if got := c.closed(); got != h.code {
			t.Errorf("%.30q: closed with %d, want %d", h.data, got, h.code)
		}
		c.close()
	}
	c := s.dial()
	defer c.close()
	c.send(`{"event":"` + strings.Repeat("x", 64<<10-20) + `"}`)
	if m := c.next(); m.Action != "error" {
		t.Errorf("a message within the limit: %+v", m)
	}
	wiretest.Eventually(t, "the others are gone", func() bool { return s.ws.Status().Open == 1 })
}

func TestOrigins(t *testing.T) {
	s := serve(t, websocket.Config{Origins: []string{"https://shop.example"}}, "things")
	host := strings.TrimPrefix(s.http.URL, "http://")
	for origin, want := range map[string]int{
		"":                              101,
		"http://" + host:                101,
		"https://" + host:               101,
		"https://shop.example":          101,
		"HTTPS://SHOP.example:443":      101,
		"http://shop.example":           403,
		"https://shop.example.evil.org": 403,
		"https://evil.example":          403,
		"null":                          403,
		"nonsense":                      403,
		"http://" + host + ":1":         403,
	} {
		header := http.Header{}
		if origin != "" {
			header.Set("Origin", origin)
		}
		resp := s.handshake(header)
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != want || want == 403 && !strings.Contains(string(body), string(problem.TypeOriginRefused)) {
			t.Errorf("Origin %q: %d %s", origin, resp.StatusCode, body)
		}
	}
	if got := s.handshake(http.Header{"Origin": {"https://shop.example", "null"}}).StatusCode; got != 403 {
		t.Errorf("two origins: %d", got)
	}
}

func TestHandshakeRefusals(t *testing.T) {
	s := serve(t, websocket.Config{MaxConnections: 1}, "things")
	resp, err := http.Get(s.http.URL + "/ws")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 426 || resp.Header.Get("Content-Type") != problem.ContentType {
		t.Errorf("a plain request: %d %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	c := s.dial()
	resp = s.handshake(nil)
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("one too many: %d", resp.StatusCode)
	}
	c.close()
	wiretest.Eventually(t, "it is gone", func() bool { return s.ws.Status().Open == 0 })
	if got := s.ws.Status().Refused; got != 1 {
		t.Errorf("%d refused", got)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.http.URL+"/ws", nil)
	req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"7"}}
	resp, err = http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 426 || resp.Header.Get("Content-Type") != problem.ContentType || resp.Header.Get("Sec-Websocket-Version") != "13" {
		t.Errorf("another version: %d %v", resp.StatusCode, resp.Header)
	}
	req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"x"}}
	resp, err = http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 400 || resp.Header.Get("Content-Type") != problem.ContentType {
		t.Errorf("a bad handshake: %d %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	for method, want := range map[string]int{"POST": 405, "HEAD": 405, "DELETE": 405, "OPTIONS": 204} {
		req, _ := http.NewRequestWithContext(t.Context(), method, s.http.URL+"/ws", nil)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want || resp.Header.Get("Allow") != "GET, OPTIONS" || want == 405 && resp.Header.Get("Content-Type") != problem.ContentType {
			t.Errorf("%s: %d %v", method, resp.StatusCode, resp.Header)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestShutdownClosesWithGoingAway(t *testing.T) {
	s := newServer(t, websocket.Config{PageRows: 1}, "things")
	s.Tables["things"].Put(items(1, 50, "")...)
	s.start()
	idle, busy := s.dial(), s.dial()
	defer idle.close()
	defer busy.close()
	busy.send(`{"event":"things"}`)
	cl := &wiretest.Client{}
	if err := cl.Take(busy.next()); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	busy.follow(cl, s.Token("things")) // the batch was completed
	for _, c := range []*conn{idle, busy} {
		if got := c.closed(); got != gorilla.CloseGoingAway {
			t.Errorf("closed with %d", got)
		}
	}
	if resp := s.handshake(nil); resp.StatusCode != 503 {
		t.Errorf("%d after the shutdown", resp.StatusCode)
	}
	s.http.Close()
}

func TestServersShutdownClosesItsConnections(t *testing.T) {
	s := serve(t, websocket.Config{}, "things")
	c := s.dial()
	defer c.close()
	c.send(`{"event":"things"}`)
	c.next()
	if err := s.http.Config.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if got := c.closed(); got != gorilla.CloseGoingAway {
		t.Errorf("closed with %d", got)
	}
}

// A client that never reads costs a cursor, however much is written.
func TestMemoryOfAClientThatNeverReads(t *testing.T) {
	s := newServer(t, websocket.Config{WriteTimeout: time.Hour, DrainTimeout: time.Millisecond}, "things")
	s.Forget = true
	s.start()
	defer s.stop()
	stuck := s.dialWith(small())
	defer stuck.close()
	stuck.send(`{"event":"things"}`)
	stuck.next()
	const events, most = 20_000, 4 << 20 // 20 MB of messages
	if grown := wiretest.HeapGrowth(s.Rig, "things", events); grown > most {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	if got := s.ws.Status(); got.Open != 1 || got.Dropped != 0 {
		t.Errorf("the client was not there to the end: %+v", got)
	}
}

func TestRemovedBindingIsLeft(t *testing.T) {
	s := serve(t, websocket.Config{}, "a", "b")
	c := s.dial()
	defer c.close()
	c.send(`{"event":"a"}`)
	c.next()
	c.send(`{"event":"b"}`)
	c.next()
	if err := s.Reg.Remove(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if m := c.next(); m.Action != "error" || m.Event != "a" || m.Problem() != string(problem.TypeUnknownBinding) {
		t.Errorf("%+v", m)
	}
	s.Put("b", items(1, 1, "")...)
	if m := c.next(); m.Action != "create" || m.Event != "b" {
		t.Errorf("%+v", m)
	}
}

// A client that never reads is disconnected, and does not hold up another.
func TestStuckClientIsClosed(t *testing.T) {
	wiretest.Patiently(t, 2*time.Second, func(t wiretest.TB, timeout time.Duration) {
		s := newServer(t, websocket.Config{WriteTimeout: timeout}, "things")
		s.Tables["things"].Put(items(1, 2_000, strings.Repeat("x", 5000))...)
		s.start()
		defer s.stop()
		stuck := s.dialWith(small())
		defer stuck.close()
		stuck.send(`{"event":"things"}`)
		c := s.dial()
		defer c.close()
		c.send(`{"event":"things"}`)
		cl := &wiretest.Client{}
		c.follow(cl, s.Token("things"))
		s.Check(cl)
		wiretest.Eventually(t, "the stuck connection is closed", func() bool { return s.ws.Status().Dropped >= 1 })
		wiretest.Eventually(t, "its subscription too", func() bool { return s.Bindings["things"].Status().Subscribers <= 1 })
		if got := s.ws.Status(); got.Dropped != 1 || got.Open != 1 {
			t.Errorf("%+v", got)
		}
	})
}

// Shutdown does not wait for a client that never reads.
func TestShutdownCutsStuckClients(t *testing.T) {
	s := newServer(t, websocket.Config{WriteTimeout: time.Hour, DrainTimeout: 10 * time.Millisecond}, "things")
	s.Tables["things"].Put(items(1, 2_000, strings.Repeat("x", 5000))...)
	s.start()
	stuck := s.dialWith(small())
	defer stuck.close()
	stuck.send(`{"event":"things"}`)
	wiretest.Eventually(t, "it has joined", func() bool { return s.Bindings["things"].Status().Subscribers == 1 })
	s.stop()
}

// A client that asks without reading is not read either, and in the end
// disconnected: what waits for it stays bounded.
func TestFloodOfRequestsIsHeldUp(t *testing.T) {
	s := newServer(t, websocket.Config{WriteTimeout: 2 * time.Second}, "things")
	s.Tables["things"].Put(items(1, 400, strings.Repeat("x", 500))...)
	s.start()
	defer s.stop()
	c := s.dialWith(small())
	defer c.close()
	wrote := make(chan int)
	go func() {
		n := 0
		for c.WriteMessage(gorilla.TextMessage, []byte(`{"event":"things","page":1}`)) == nil {
			n++
		}
		wrote <- n
	}()
	wiretest.Eventually(t, "the connection is closed", func() bool { return s.ws.Status().Dropped == 1 && s.ws.Status().Open == 0 })
	<-wrote
	if got := s.ws.Status().Held; got == 0 {
		t.Error("its requests were never held up")
	}
}

// Answers that are read arrive, however many requests are sent ahead.
func TestPipelinedRequestsAreAllAnswered(t *testing.T) {
	s := serve(t, websocket.Config{}, "things")
	c := s.dial()
	defer c.close()
	const n = 2000
	sent := make(chan error)
	go func() {
		for i := range n {
			if err := c.WriteMessage(gorilla.TextMessage, []byte(`{"event":"n`+strconv.Itoa(i)+`"}`)); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for i := range n {
		if m := c.next(); m.Event != "n"+strconv.Itoa(i) || m.Action != "error" {
			t.Fatalf("answer %d: %+v", i, m)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

func TestLaggingClientSkipsAhead(t *testing.T) {
	s := newServer(t, websocket.Config{}, "things")
	s.Tables["things"].Put(items(1, 100, "")...)
	s.start()
	defer s.stop()
	c := s.dial()
	defer c.close()
	cl := &wiretest.Client{}
	c.send(`{"event":"things"}`)
	c.follow(cl, s.Token("things"))
	const writes = 500
	big := strings.Repeat("x", 64<<10)
	for i := range writes {
		s.Put("things", wiretest.Item{ID: i%10 + 1, Name: strconv.Itoa(i), Note: big})
	}
	c.follow(cl, s.Token("things"))
	s.Check(cl)
	if got := cl.Syncs + cl.Changes; got >= writes {
		t.Errorf("%d batches for %d versions: nothing was merged", got, writes)
	}
}

// The long sync of one binding does not hold up another.
func TestJoinsTakeTurns(t *testing.T) {
	s := newServer(t, websocket.Config{PageRows: 1}, "long", "short")
	s.Tables["long"].Put(items(1, 300, strings.Repeat("x", 64<<10))...) // more than sockets buffer
	s.Tables["short"].Put(items(1, 1, "")...)
	s.start()
	defer s.stop()
	c := s.dial()
	defer c.close()
	c.send(`{"event":"long"}`)
	c.next()
	c.send(`{"event":"short"}`)
	wiretest.Eventually(t, "the other is joined", func() bool { return s.Bindings["short"].Status().Subscribers == 1 })
	for m := c.next(); m.Event != "short"; m = c.next() {
		if !m.More {
			t.Fatal("the long sync came first as a whole")
		}
	}
}

// A client whose pongs are missing is told so and closed.
func TestPingsFindDeadClients(t *testing.T) {
	s := serve(t, websocket.Config{PingInterval: 20 * time.Millisecond, WriteTimeout: 500 * time.Millisecond}, "things")
	c := s.dial()
	defer c.close()
	c.SetPingHandler(func(string) error { return nil })
	if got := c.closed(); got != gorilla.ClosePolicyViolation {
		t.Errorf("closed with %d", got)
	}
}

// A client that answers pings is left alone.
func TestPingsSpareLivelyClients(t *testing.T) {
	wiretest.Patiently(t, 500*time.Millisecond, func(t wiretest.TB, timeout time.Duration) {
		s := newServer(t, websocket.Config{PingInterval: timeout / 25, WriteTimeout: timeout}, "things")
		s.start()
		defer s.stop()
		c := s.dial()
		defer c.close()
		pings := 0
		answer := c.PingHandler()
		c.SetPingHandler(func(data string) error {
			if err := answer(data); err != nil {
				return err
			}
			if pings++; pings == 40 { // longer than a silent client lives
				return errEnough
			}
			return nil
		})
		if _, _, err := c.ReadMessage(); !errors.Is(err, errEnough) {
			t.Errorf("after %d pings: %v", pings, err)
		}
	})
}

var errEnough = errors.New("enough pings")

// An idle connection costs melody's two goroutines and none of ours.
func TestIdleConnectionsCostTwoGoroutines(t *testing.T) {
	s := serve(t, websocket.Config{}, "things")
	before := runtime.NumGoroutine()
	const n = 50
	for range n {
		c := s.dial()
		defer c.close()
		c.send(`{"event":"things"}`)
		c.next()
	}
	s.Put("things", items(1, 1, "")...)
	wiretest.Eventually(t, "all is quiet", func() bool { return runtime.NumGoroutine() <= before+2*n+4 })
}

func TestMountReportsProblems(t *testing.T) {
	for name, tr := range map[string]*websocket.Transport{
		"nil":          websocket.New(nil),
		"WriteTimeout": websocket.New(echo.New().Group(""), websocket.Config{WriteTimeout: -1}),
		"bytes":        websocket.New(echo.New().Group(""), websocket.Config{MessageBytes: 1}),
		"shop.example": websocket.New(echo.New().Group(""), websocket.Config{Origins: []string{"shop.example"}}),
		"/path":        websocket.New(echo.New().Group(""), websocket.Config{Origins: []string{"https://shop.example/path"}}),
	} {
		reg := core.NewRegistry()
		_ = reg.Serve(tr)
		if err := reg.Start(t.Context()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
