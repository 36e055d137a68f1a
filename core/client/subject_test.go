package client

import (
	"encoding/json"
	"net/url"
	"testing"

	"github.com/binderyhq/bindery/core/wire"
)

// TestSubjects tells the messages of a member from others': parameters may be lists,
// and what is empty counts as not given.
func TestSubjects(t *testing.T) {
	for _, c := range []struct {
		params url.Values
		said   string
		mine   bool
	}{
		{nil, "", true},
		{nil, `{"venue":"store"}`, false},
		{url.Values{"venue": {"store"}}, `{"venue":"store"}`, true},
		{url.Values{"venue": {"store"}}, "", false},
		{url.Values{"status": {"paid", "open"}}, `{"status":["open","paid"]}`, true},
		{url.Values{"q": {""}}, "", true},
		{url.Values{"q": {""}}, `{"q":""}`, true},
		{url.Values{"q": {""}, "venue": {"store"}}, `{"venue":"store"}`, true},
		{url.Values{"q": {"tea"}, "venue": {"store"}}, `{"venue":"store"}`, false},
	} {
		s := subject{binding: "shelf", params: c.params}
		m := wire.Received{Event: "shelf"}
		if c.said != "" {
			m.Params = json.RawMessage(c.said)
		}
		if got := s.is(m); got != c.mine {
			t.Errorf("%v and %s: %t", c.params, c.said, got)
		}
	}
}
