package rest

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/binderyhq/bindery/transports/rest/internal/coding"
	"github.com/binderyhq/bindery/transports/rest/internal/resttest"
	"pgregory.net/rapid"
)

// message is a message as a client reads it.
type message struct {
	Event, Action, Version string
	Payload                json.RawMessage
	More                   bool
}

func (s *shop) since(token string) []message {
	s.T.Helper()
	res := s.Do("GET", "/api/products?since="+token)
	want(s.T, res, 200)
	if res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("ETag") != "" || res.Header.Get("Content-Type") != "application/json" {
		s.T.Errorf("headers %v", res.Header)
	}
	return decode[[]message](s.T, res)
}

func TestSince(t *testing.T) {
	s := newShop(t, 3)
	v1 := s.Version()
	for in := range coding.Count {
		got := s.since(v1 + in.Suffix())
		if len(got) != 1 || got[0].Action != "sync" || string(got[0].Payload) != `"ok"` || got[0].Version != v1 {
			t.Errorf("at the current version: %+v", got)
		}
	}
	s.Put(product{ID: 2, Name: "changed"}, product{ID: 4, Name: "new"})
	s.Delete(1)
	got := s.since(v1)
	var actions []string
	for i, m := range got {
		actions = append(actions, m.Action+string(m.Payload))
		if m.Version != s.Version() || m.More != (i < len(got)-1) || m.Event != "products" {
			t.Errorf("message %+v", m)
		}
	}
	if want := `create[{"id":4,"name":"new"}] update[{"id":2,"name":"changed"}] delete[{"id":1}]`; strings.Join(actions, " ") != want {
		t.Errorf("got %s", actions)
	}
	got = s.since("unknown")
	if len(got) != 1 || got[0].Action != "sync" || got[0].Version != s.Version() || string(got[0].Payload)[0] != '[' {
		t.Errorf("from nowhere: %+v", got)
	}
	head := s.Do("HEAD", "/api/products?since="+v1)
	want(t, head, 200)
	if body(t, head) != "" || head.Header.Get("Content-Length") == "" {
		t.Errorf("HEAD: %v", head.Header)
	}
}

func TestSinceIsCompressed(t *testing.T) {
	s := newShop(t, 500)
	plain := body(t, s.Do("GET", "/api/products?since=x"))
	for _, c := range []string{"gzip", "br", "zstd"} {
		res := s.Do("GET", "/api/products?since=x", "Accept-Encoding", c)
		if res.Header.Get("Content-Encoding") != c || res.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: %v", c, res.Header)
		}
		if string(resttest.Unpack(t, c, []byte(body(t, res)))) != plain {
			t.Errorf("%s: unpacked to something else", c)
		}
	}
}

// A client that asks for the changes now and then, from the version it holds,
// always ends up with what the list shows.
func TestFollowingBySince(t *testing.T) {
	s := newShop(t, 20)
	rapid.Check(t, func(rt *rapid.T) {
		held, version := map[int64]product{}, "none"
		for range rapid.IntRange(1, 20).Draw(rt, "steps") {
			switch rapid.IntRange(0, 2).Draw(rt, "step") {
			case 0:
				s.Put(product{ID: rapid.Int64Range(1, 8).Draw(rt, "id"), Name: rapid.StringN(0, 3, -1).Draw(rt, "name")})
			case 1:
				s.Delete(rapid.Int64Range(1, 8).Draw(rt, "id"))
			default:
				started := false
				for _, m := range s.since(version) {
					if string(m.Payload) == `"ok"` {
						continue
					}
					var rows []product
					if err := json.Unmarshal(m.Payload, &rows); err != nil {
						rt.Fatal(err)
					}
					if m.Action == "sync" && !started {
						clear(held)
					}
					started = true
					for _, p := range rows {
						_, known := held[p.ID]
						if known == (m.Action == "create" || m.Action == "sync") {
							rt.Fatalf("%s of %+v, known: %v", m.Action, p, known)
						}
						if held[p.ID] = p; m.Action == "delete" {
							delete(held, p.ID)
						}
					}
					version = m.Version
				}
				list := decode[[]product](s.T, s.Do("GET", "/api/products"))
				if len(list) != len(held) {
					rt.Fatalf("holds %d rows, there are %d", len(held), len(list))
				}
				for _, p := range list {
					if held[p.ID] != p {
						rt.Fatalf("holds %+v, there is %+v", held[p.ID], p)
					}
				}
			}
		}
	})
}
