package rest

import (
	"fmt"
	"net/url"
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

var linkPattern = regexp.MustCompile(`<([^>]*)>; rel="([^"]*)"`)

// links reads a Link header.
func links(header string) map[string]string {
	found := map[string]string{}
	for _, m := range linkPattern.FindAllStringSubmatch(header, -1) {
		found[m[2]] = m[1]
	}
	return found
}

func TestPages(t *testing.T) {
	s := newShop(t, 45)
	for _, c := range []struct {
		query             string
		first, n          int    // id of the first row, number of rows
		prev, next, final string // offsets, "" for no link
		limit             int
	}{
		{"limit=20", 1, 20, "", "20", "40", 20},
		{"limit=20&offset=0", 1, 20, "", "20", "40", 20},
		{"limit=20&offset=20", 21, 20, "0", "40", "40", 20},
		{"offset=40&limit=20", 41, 5, "20", "", "40", 20},
		{"limit=20&offset=60", 0, 0, "40", "", "40", 20},
		{"limit=20&offset=2147000000", 0, 0, "40", "", "40", 20},
		{"limit=20&offset=99999999999999999999", 0, 0, "40", "", "40", 20},
		{"limit=20&offset=5", 6, 20, "0", "25", "40", 20},
		{"limit=45", 1, 45, "", "", "0", 45},
		{"limit=44", 1, 44, "", "44", "44", 44},
		{"limit=15&offset=30", 31, 15, "15", "", "30", 15},
		{"limit=1000", 1, 45, "", "", "0", 1000},
		{"offset=3", 4, 42, "0", "", "0", DefaultPageLimit},
	} {
		res := s.Do("GET", "/api/products?"+c.query)
		want(t, res, 200)
		rows := decode[[]product](t, res)
		if len(rows) != c.n || c.n > 0 && rows[0].ID != int64(c.first) {
			t.Errorf("%s: rows %v", c.query, rows)
		}
		if got := res.Header.Get("X-Total-Count"); got != "45" {
			t.Errorf("%s: X-Total-Count %q", c.query, got)
		}
		got := links(res.Header.Get("Link"))
		for rel, offset := range map[string]string{"first": "0", "prev": c.prev, "next": c.next, "last": c.final} {
			uri := ""
			if offset != "" {
				uri = fmt.Sprintf("/api/products?limit=%d&offset=%s", c.limit, offset)
			}
			if got[rel] != uri {
				t.Errorf("%s: %s %q, want %q", c.query, rel, got[rel], uri)
			}
		}
		if got["monitor"] != "/events/products" {
			t.Errorf("%s: monitor %q", c.query, got["monitor"])
		}
	}
}

func TestPageOfNothing(t *testing.T) {
	s := newShop(t, 0)
	res := s.Do("GET", "/api/products?limit=5")
	if got := body(t, res); got != "[]\n" {
		t.Errorf("body %q", got)
	}
	if l := links(res.Header.Get("Link")); len(l) != 3 || l["first"] != l["last"] {
		t.Errorf("links %v", l)
	}
}

func TestPageBounds(t *testing.T) {
	s := newShop(t, 30, Config{PageLimit: 7, MaxPageLimit: 10})
	want(t, s.Do("GET", "/api/products?limit=11"), 400)
	if rows := decode[[]product](t, s.Do("GET", "/api/products?offset=0")); len(rows) != 7 {
		t.Errorf("%d rows", len(rows))
	}
	// The default follows a lower bound.
	s = newShop(t, 30, Config{MaxPageLimit: 10})
	if rows := decode[[]product](t, s.Do("GET", "/api/products?offset=0")); len(rows) != 10 {
		t.Errorf("%d rows", len(rows))
	}
}

// A page's tag changes with its rows and with nothing else.
func TestPageTags(t *testing.T) {
	s := newShop(t, 40)
	tag := func(target string) string {
		res := s.Do("GET", target)
		want(t, res, 200)
		return res.Header.Get("ETag")
	}
	const head, tail = "/api/products?limit=10", "/api/products?limit=10&offset=30"
	h, l := tag(head), tag(tail)
	if h == l || len(h) != 24 {
		t.Errorf("tags %s and %s", h, l)
	}
	s.Put(product{ID: 5, Name: "changed"})
	if tag(head) == h {
		t.Error("the tag survived a change of its rows")
	}
	want(t, s.Do("GET", tail, "If-None-Match", l), 304)
	s.Put(product{ID: 5, Name: "product 5"})
	if tag(head) != h {
		t.Error("the tag did not come back with the rows")
	}
	// A row that goes moves those behind it.
	s.Delete(5)
	res := s.Do("GET", tail, "If-None-Match", l)
	want(t, res, 200)
	if res.Header.Get("X-Total-Count") != "39" {
		t.Errorf("X-Total-Count %s", res.Header.Get("X-Total-Count"))
	}
}

// Following next from first reaches every row once, for every size of page.
func TestWalkingThePages(t *testing.T) {
	s := newShop(t, 23)
	rapid.Check(t, func(rt *rapid.T) {
		next := fmt.Sprintf("/api/products?limit=%d", rapid.IntRange(1, 30).Draw(rt, "limit"))
		var ids []int64
		for next != "" {
			res := s.Do("GET", next)
			for _, p := range decode[[]product](s.T, res) {
				ids = append(ids, p.ID)
			}
			l := links(res.Header.Get("Link"))
			if l["next"] == "" {
				if u, _ := url.Parse(next); u.Query().Get("offset") != "" && l["last"] != next {
					rt.Fatalf("ended at %s, last is %s", next, l["last"])
				}
			}
			next = l["next"]
		}
		if len(ids) != 23 {
			rt.Fatalf("rows %v", ids)
		}
		for i, id := range ids {
			if id != int64(i+1) {
				rt.Fatalf("rows %v", ids)
			}
		}
	})
}
