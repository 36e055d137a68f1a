package paging

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/transports/rest/internal/resttest"
)

func TestOffsetLinks(t *testing.T) {
	for _, c := range []struct {
		w     Window
		total int
		want  string
	}{
		{Window{10, 0}, 0, "first=0 last=0"},
		{Window{10, 0}, 10, "first=0 last=0"},
		{Window{10, 0}, 11, "first=0 next=10 last=10"},
		{Window{10, 10}, 11, "first=0 prev=0 last=10"},
		{Window{10, 5}, 30, "first=0 prev=0 next=15 last=20"},
		{Window{10, 1000}, 30, "first=0 prev=20 last=20"},
	} {
		var got []string
		for _, link := range strings.Split(OffsetLinks("/p", "a=1", c.w, c.total), ", ") {
			link = strings.TrimPrefix(link, "</p?a=1&limit=10&offset=")
			offset, rel, _ := strings.Cut(link, `>; rel="`)
			got = append(got, strings.TrimSuffix(rel, `"`)+"="+offset)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v of %d: %s, want %s", c.w, c.total, got, c.want)
		}
	}
}

// A cursor leads to the first row after its own, whether or not that is still there.
func TestCursors(t *testing.T) {
	s := resttest.NewShop(t, 0, nil, nil)
	s.Open("named", core.OrderBy("-name", "id"))
	s.Open("hidden", core.OrderBy("name"), core.Columns("id"))
	long := strings.Repeat("x", maxWhole)
	if !HasCursors(s.View("named")) || HasCursors(s.View("hidden")) {
		t.Error("cursors are for bindings whose rows show what they are ordered by")
	}
	rapid.Check(t, func(rt *rapid.T) {
		s.Delete(1, 2, 3, 4, 5, 6)
		for id := range int64(6) {
			s.Put(resttest.Product{ID: id + 1, Name: rapid.SampledFrom([]string{"a", "b", long, long + "a", long + "b", long[1:]}).Draw(rt, "name")})
		}
		v := s.View("named")
		before := v.Snapshot()
		at := rapid.IntRange(0, 5).Draw(rt, "row")
		var row resttest.Product
		var cursor string
		var rest []string
		i := 0
		for r := range before.Page(0, 10) {
			if i == at {
				cursor = Cursor(r)
				row.ID = r.Value().(*resttest.Product).ID
			}
			if i > at {
				rest = append(rest, string(r.JSON()))
			}
			i++
		}
		deleted := rapid.Bool().Draw(rt, "deleted")
		if deleted {
			s.Delete(row.ID)
		}
		if len(cursor) > 2000 {
			rt.Fatalf("a cursor of %d characters", len(cursor))
		}
		place, ok := ParseCursor(cursor)
		if !ok {
			rt.Fatalf("cursor %q", cursor)
		}
		after := v.Snapshot()
		var got []string
		for r := range after.Page(OffsetAfter(after, place), 10) {
			got = append(got, string(r.JSON()))
		}
		if place.digest != "" && deleted { // rows that begin alike may come again
			if len(got) < len(rest) || strings.Join(got[len(got)-len(rest):], "") != strings.Join(rest, "") {
				rt.Fatalf("after row %d, which has gone: %d rows, want %d at the end", at, len(got), len(rest))
			}
			for _, again := range got[:len(got)-len(rest)] {
				if !strings.Contains(again, long[1:]) {
					rt.Fatalf("after row %d, which has gone: %.20s does not begin like it", at, again)
				}
			}
			return
		}
		if strings.Join(got, "") != strings.Join(rest, "") {
			rt.Fatalf("after row %d: %v, want %v", at, got, rest)
		}
	})
}

func TestParseCursor(t *testing.T) {
	if place, ok := ParseCursor(""); !ok || place != (Place{}) {
		t.Error("the empty cursor is not the beginning")
	}
	for _, bad := range []string{"!", "a", "YQ", "YQ==", "AAAAAA", "zzzzzzzz", strings.Repeat("a", maxCursor+4)} {
		if _, ok := ParseCursor(bad); ok {
			t.Errorf("%.20q is read", bad)
		}
	}
}
