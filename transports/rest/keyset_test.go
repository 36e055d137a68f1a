package rest

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core"
)

var nextLink = regexp.MustCompile(`<([^>]*)>; rel="next"`)

// walk follows the links to the next page, and does something in between.
func (s *shop) walk(target string, between func(seen []product)) (all []product) {
	s.T.Helper()
	for target != "" {
		res := s.Do(http.MethodGet, target)
		want(s.T, res, http.StatusOK)
		all = append(all, decode[[]product](s.T, res)...)
		m := nextLink.FindStringSubmatch(res.Header.Get("Link"))
		if target = ""; m != nil {
			target = m[1]
			between(all)
		}
	}
	return all
}

// Who walks from page to page sees every row that is there all the time, once,
// whatever comes and goes meanwhile.
func TestKeysetPagesAreStable(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newShop(t, 30)
		defer s.Shutdown()
		s.Open("named", core.OrderBy("-name"))
		binding := rapid.SampledFrom([]string{"products", "named"}).Draw(rt, "binding")
		stays := map[int64]bool{}
		for id := int64(1); id <= 30; id++ {
			stays[id] = true
		}
		next := int64(100)
		all := s.walk("/api/"+binding+"?limit="+rapid.SampledFrom([]string{"1", "4", "7", "30"}).Draw(rt, "limit")+"&after=", func(seen []product) {
			switch rapid.IntRange(0, 2).Draw(rt, "between") {
			case 0: // also the row that the link stands for
				gone := seen[len(seen)-1].ID
				delete(stays, gone)
				s.Delete(gone)
			case 1:
				gone := rapid.Int64Range(1, 30).Draw(rt, "gone")
				delete(stays, gone)
				s.Delete(gone)
			case 2:
				if next++; next < 110 { // come for a while
					s.Put(product{ID: next, Name: rapid.StringMatching("[a-z]{1,3}").Draw(rt, "name")}, product{ID: -next, Name: "first"})
				}
			}
		})
		times := map[int64]int{}
		for _, p := range all {
			times[p.ID]++
		}
		for id := range stays {
			if times[id] != 1 {
				rt.Fatalf("row %d was seen %d times", id, times[id])
			}
		}
		for id, n := range times {
			if n > 1 {
				rt.Fatalf("row %d was seen %d times", id, n)
			}
		}
	})
}

func TestKeysetPages(t *testing.T) {
	s := newShop(t, 5)
	if got := s.walk("/api/products?limit=2&after=", func([]product) {}); !slices.EqualFunc(got, []int64{1, 2, 3, 4, 5}, func(p product, id int64) bool { return p.ID == id }) {
		t.Errorf("%v", got)
	}
	res := s.Do("GET", "/api/products?limit=5&after=")
	if link := res.Header.Get("Link"); link != `</api/products?limit=5&after=>; rel="first", </events/products>; rel="monitor"` || res.Header.Get("X-Total-Count") != "5" {
		t.Errorf("Link: %s", link)
	}
	// A page is as conditional as any.
	page := s.Do("GET", "/api/products?limit=2&after=")
	again := s.Do("GET", "/api/products?limit=2&after=", "If-None-Match", page.Header.Get("ETag"))
	want(t, again, http.StatusNotModified)
	next := nextLink.FindStringSubmatch(page.Header.Get("Link"))[1]
	s.Delete(3, 4, 5)
	if text := body(t, s.Do("GET", next)); text != "[]\n" {
		t.Errorf("behind the last row: %s", text)
	}
	_, cursor, _ := strings.Cut(next, "after=")
	for _, bad := range []string{
		"after=!", "after=%00", "after=&offset=2", "after=&since=x",
		"after=zzz", "after=AAAA", "after=AAAAAA", "after=" + cursor[1:], "after=" + cursor[:len(cursor)-1], "after=" + cursor + "A", "after=" + cursor + "%0A",
	} {
		want(t, s.Do("GET", "/api/products?"+bad), http.StatusBadRequest)
	}
	s.Open("hidden", core.OrderBy("name"), core.Columns("id"))
	want(t, s.Do("GET", "/api/hidden?limit=2&after="), http.StatusBadRequest) // its links would tell the names
}

// Rows that are ordered by long texts page like others, by links short enough for proxies
// and for this server.
func TestKeysetPagesOfLongTexts(t *testing.T) {
	s := newShop(t, 0)
	s.Open("named", core.OrderBy("name"))
	var want []int64
	for id := int64(1); id <= 7; id++ {
		s.Put(product{ID: id, Name: strings.Repeat("long ", 20_000) + strconv.FormatInt(id/2, 10)})
		want = append(want, id)
	}
	var got []int64
	for target := "/api/named?limit=2&after="; target != ""; {
		if len(target) > 2000 {
			t.Fatalf("a link of %d characters", len(target))
		}
		res := s.Do(http.MethodGet, target)
		for _, p := range decode[[]product](t, res) {
			got = append(got, p.ID)
		}
		target = ""
		if m := nextLink.FindStringSubmatch(res.Header.Get("Link")); m != nil {
			target = m[1]
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
