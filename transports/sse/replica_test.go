package sse_test

import (
	"net/http"
	"testing"

	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/sse"
)

// TestReplicas: a follower is told keys, places and the fingerprint; a client that did
// not ask is not.
func TestReplicas(t *testing.T) {
	s := newServer(t, sse.Config{}, "things", "others")
	s.Tables["things"].Put(wiretest.Item{ID: 1, Name: "one"})
	s.start()
	defer s.stop()
	first := func(query string) (int, wire.Received) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.http.URL+"/events"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return res.StatusCode, wire.Received{}
		}
		ev, err := wire.NewEventReader(res.Body, 0).Next(nil)
		if err != nil {
			t.Fatal(err)
		}
		m, err := wire.Decode(append([]byte(nil), ev.Data...))
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, m
	}
	for query, want := range map[string]int{
		"/things": 0, "/things?replica=": 0, "/things?replica=1": 1, "?event=things&event=others&replica=1": 1,
	} {
		code, m := first(query)
		if code != http.StatusOK || (m.Replica != nil) != (want == 1) || len(m.Rows) != 1 {
			t.Errorf("%s: %d %+v", query, code, m)
		}
		if m.Replica != nil && (len(m.Replica.Keys) != 1 || m.Replica.Description == nil || m.Replica.OrderKeys != nil) {
			t.Errorf("%s: %+v", query, m.Replica)
		}
	}
	if code, _ := first("/things?replica=yes"); code != http.StatusBadRequest {
		t.Errorf("replica=yes: %d", code)
	}
	if code, _ := first("/things?replica=1&replica=1"); code != http.StatusBadRequest {
		t.Errorf("twice: %d", code)
	}
}
