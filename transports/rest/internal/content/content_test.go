package content

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/internal/meter"
	"github.com/binderyhq/bindery/transports/rest/internal/coding"
	"github.com/binderyhq/bindery/transports/rest/internal/paging"
	"github.com/binderyhq/bindery/transports/rest/internal/resttest"
)

// edition returns the edition of the shop's products.
func edition(s *resttest.Shop, of *Editions) *Edition {
	v := s.View("products")
	return of.Of(v, v.Snapshot())
}

func newEditions(base string) *Editions {
	return &Editions{Monitors: func(v *live.View) []string { return []string{"/events/" + v.Name()} }, BasePath: base, Meter: &meter.Meter{}}
}

func TestSizeIsKnownBeforeTheBody(t *testing.T) {
	for _, n := range []int{0, 1, 2, 7} {
		s := resttest.NewShop(t, n, nil, nil)
		e := edition(s, newEditions(""))
		check := func(what string, c *Content) {
			t.Helper()
			if got := len(c.Body(coding.Identity)); got != c.Size() {
				t.Errorf("%d rows, %s: %d bytes, announced %d", n, what, got, c.Size())
			}
		}
		check("list", e.List)
		for _, w := range []paging.Window{{Limit: 1}, {Limit: 3, Offset: 2}, {Limit: 9}, {Limit: 1, Offset: 99}} {
			check(fmt.Sprint(w), e.Page(w))
		}
		for r := range s.View("products").Snapshot().Page(0, n) {
			check("row", Row(r))
		}
	}
}

// However many pages are asked for, the number and the size of the kept ones are
// bounded.
func TestKeptPagesAreBounded(t *testing.T) {
	s := resttest.NewShop(t, 300, nil, nil)
	editions := newEditions("")
	e := edition(s, editions)
	for i := range 300 {
		if got := string(e.Page(paging.Window{Limit: 1, Offset: i}).Body(coding.Identity)); !strings.Contains(got, fmt.Sprintf(`"id":%d,`, i+1)) {
			t.Fatalf("page %d is %s", i, got)
		}
	}
	if n := len(e.pages.kept); n != maxPages {
		t.Errorf("%d pages kept", n)
	}
	s.Put(resttest.Product{ID: 1, Name: strings.Repeat("x", maxPageBytes)})
	e = edition(s, editions)
	for limit := range 3 {
		e.Page(paging.Window{Limit: limit + 1}).Body(coding.Identity)
	}
	if e.pages.bytes > maxPageBytes {
		t.Errorf("%d bytes kept", e.pages.bytes)
	}
}

// A page keeps its tag while other rows change, and an edition is made once.
func TestEditions(t *testing.T) {
	s := resttest.NewShop(t, 10, nil, nil)
	editions := newEditions("/shop")
	e := edition(s, editions)
	if edition(s, editions) != e {
		t.Error("a snapshot has two editions")
	}
	if edition(s, newEditions("/shop")) == e {
		t.Error("two transports share an edition")
	}
	for base, want := range map[string]string{"/shop": "/shop/events/products", "": "/events/products"} {
		if got := e.Links(base); len(got) != 1 || got[0] != "<"+want+`>; rel="monitor"` {
			t.Errorf("behind %q: %q", base, got)
		}
	}
	first, second := paging.Window{Limit: 5}, paging.Window{Limit: 5, Offset: 5}
	tags := [2]string{e.Page(first).ETag(coding.Gzip)[0], e.Page(second).ETag(coding.Gzip)[0]}
	if !strings.HasSuffix(tags[0], `-gzip"`) || tags[0] == tags[1] {
		t.Errorf("tags %v", tags)
	}
	if text, _ := e.LastModified(s.Clock.Now()); text != nil {
		t.Errorf("dated %s within the second of the change", text)
	}
	s.Put(resttest.Product{ID: 1, Name: "changed"})
	s.Clock.Advance(2 * time.Second)
	changed := edition(s, editions)
	if changed.Page(first).ETag(coding.Gzip)[0] == tags[0] || changed.Page(second).ETag(coding.Gzip)[0] != tags[1] {
		t.Error("the tags of pages are not those of their rows")
	}
	if text, date := changed.LastModified(s.Clock.Now()); text == nil || date.IsZero() {
		t.Error("no date when the second is over")
	}
	if changed.List.token == e.List.token {
		t.Error("the list keeps its tag")
	}
}

// Each body is built once, and each tag leads back to its coding.
func TestContent(t *testing.T) {
	built := 0
	c := newContent("token", 4, func() []byte { built++; return []byte("1234") }, nil)
	for range 2 {
		c.Body(coding.Gzip)
		c.Body(coding.Identity)
	}
	if built != 1 {
		t.Errorf("built %d times", built)
	}
	for in := range coding.Count {
		if got, ok := c.CodingOf(strings.Trim(c.ETag(in)[0], `"`)); !ok || got != in {
			t.Errorf("the tag of %s is that of %s, %v", in, got, ok)
		}
	}
	for _, other := range []string{"", "toke", "tokenx", "token-lz4", "other-gzip"} {
		if in, ok := c.CodingOf(other); ok {
			t.Errorf("%q is the tag of %s", other, in)
		}
	}
}
