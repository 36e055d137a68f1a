package sse_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	gosse "github.com/tmaxmax/go-sse"

	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/sse"
)

func items(from, to int, note string) []wiretest.Item {
	var list []wiretest.Item
	for id := from; id <= to; id++ {
		list = append(list, wiretest.Item{ID: id, Name: fmt.Sprintf("item %d", id), Note: note})
	}
	return list
}

func TestSyncThenChanges(t *testing.T) {
	s := newServer(t, sse.Config{PageRows: 10}, "things")
	s.Tables["things"].Put(items(1, 25, "")...)
	s.start()
	defer s.stop()
	r := s.open("/events/things", "")
	defer r.close()
	for header, want := range map[string]string{
		"Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-store, no-transform", "X-Accel-Buffering": "no",
	} {
		if got := r.resp.Header.Get(header); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	c := &wiretest.Client{}
	first := r.must()
	if retry, err := strconv.Atoi(first.retry); err != nil || retry < 1000 || retry > 3000 {
		t.Errorf("retry %q", first.retry)
	}
	if err := c.Take(first.message(t)); err != nil {
		t.Fatal(err)
	}
	if id := r.follow(c, s.Token("things")); id != s.Token("things") {
		t.Errorf("id %q, version %q", id, s.Token("things"))
	}
	s.Check(c)
	s.Put("things", items(20, 30, "new")...)
	r.follow(c, s.Token("things"))
	s.Delete("things", 1, 2, 3)
	r.follow(c, s.Token("things"))
	s.Check(c)
	if c.Syncs != 1 || c.Changes != 2 {
		t.Errorf("%d syncs, %d changes", c.Syncs, c.Changes)
	}
}

func TestResume(t *testing.T) {
	s := serve(t, sse.Config{}, "things", "others")
	s.Put("things", items(1, 5, "")...)
	old := s.Token("things")
	c := &wiretest.Client{}
	r := s.open("/events/things", "")
	r.follow(c, old)
	r.close()

	r = s.open("/events/things?version="+old+"-gzip", "")
	if e := r.must(); string(e.message(t).Payload) != `"ok"` || e.id != old {
		t.Errorf("at the current version: %+v", e)
	}
	r.close()

	s.Put("things", items(4, 8, "new")...)
	// The header wins over the parameter.
	r = s.open("/events/things?version="+s.Token("things"), old)
	r.follow(c, s.Token("things"))
	s.Check(c)
	if c.Syncs != 1 || c.Changes != 1 {
		t.Errorf("%d syncs, %d changes", c.Syncs, c.Changes)
	}
	r.close()

	for _, id := range []string{"nonsense", s.Token("others"), strings.Repeat(".", 5000)} {
		r = s.open("/events/things", id)
		r.follow(c, s.Token("things"))
		r.close()
	}
	if c.Syncs != 4 {
		t.Errorf("%d syncs", c.Syncs)
	}
}

func TestSeveralBindingsOnOneStream(t *testing.T) {
	s := serve(t, sse.Config{PageRows: 2}, "a", "b", "c")
	for _, n := range []string{"a", "b", "c"} {
		s.Put(n, items(1, 5, n)...)
	}
	clients := map[string]*wiretest.Client{"a": {}, "b": {}, "c": {}}
	const path = "/events?event=a&event=b&event=c"
	follow := func(r *reader) (id string) {
		t.Helper()
		open := "" // the binding whose batch is under way
		for {
			current := true
			for n, c := range clients {
				current = current && c.Version == s.Token(n)
			}
			if current && open == "" {
				return id
			}
			e := r.must()
			m := e.message(t)
			if open != "" && open != m.Event {
				t.Fatalf("a batch of %s in the midst of one of %s", m.Event, open)
			}
			if open = ""; m.More {
				open = m.Event
			}
			if err := clients[m.Event].Take(m); err != nil {
				t.Fatal(err)
			}
			if e.hasID {
				id = e.id
			}
		}
	}
	r := s.open(path, "")
	follow(r)
	s.Put("b", items(3, 9, "new")...)
	id := follow(r)
	r.close()
	s.Put("a", items(9, 9, "late")...)
	s.Delete("c", 1)
	r = s.open(path, id)
	follow(r)
	r.close()
	for n, c := range clients {
		s.Check(c)
		if c.Syncs != 1 || c.Changes != 1 {
			t.Errorf("%s: %d syncs, %d changes", n, c.Syncs, c.Changes)
		}
	}
}

func TestStreamWaitsForTheLoad(t *testing.T) {
	s := newServer(t, sse.Config{}, "things")
	s.Tables["things"].Put(items(1, 3, "")...)
	release := s.Tables["things"].Hold()
	started := make(chan struct{})
	go func() {
		defer close(started)
		s.Start(s.sse)
	}()
	wiretest.Eventually(t, "the route is there", func() bool { return s.sse.MonitorURL("things") == "/events/things" })
	s.http.Start()
	defer s.stop()
	r := s.open("/events/things", "")
	defer r.close()
	if r.resp.StatusCode != 200 {
		t.Fatalf("%d before the load", r.resp.StatusCode)
	}
	release()
	<-started
	c := &wiretest.Client{}
	r.follow(c, s.Token("things"))
	s.Check(c)
}

func TestHeartbeat(t *testing.T) {
	s := serve(t, sse.Config{Heartbeat: time.Millisecond}, "things")
	r := s.open("/events/things", "")
	defer r.close()
	for n := 0; n < 3; {
		e, err := r.next()
		if err != nil {
			t.Fatal(err)
		}
		if e.comment {
			n++
		}
	}
}

// A follower hears something every two seconds, also from a node that sends its clients
// no heartbeats.
func TestHeartbeatOfFollowers(t *testing.T) {
	t.Parallel()
	for _, often := range []time.Duration{-1, time.Hour} {
		s := serve(t, sse.Config{Heartbeat: often}, "things")
		r := s.open("/events/things?replica=1", "")
		defer r.close()
		for {
			e, err := r.next()
			if err != nil {
				t.Fatal(err)
			}
			if e.comment {
				break
			}
		}
	}
}

// What another's client makes of the stream.
func TestSecondJudge(t *testing.T) {
	s := serve(t, sse.Config{PageRows: 2, Heartbeat: time.Millisecond}, "things")
	s.Put("things", items(1, 5, "")...)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.http.URL+"/events/things", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.http.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	c := &wiretest.Client{}
	for e, err := range gosse.Read(resp.Body, nil) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Data == "" {
			continue // go-sse makes an event of a comment
		}
		if err := c.Take(event{kind: e.Type, data: e.Data}.message(t)); err != nil {
			t.Fatal(err)
		}
		if e.LastEventID == s.Token("things") {
			break
		}
	}
	s.Check(c)
}
