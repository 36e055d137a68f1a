package paging

import (
	"strconv"
	"strings"

	"github.com/binderyhq/bindery/core/live"
)

// links collects links to pages of one list.
type links struct {
	b      strings.Builder
	before string // the target's beginning, up to the value of "limit"
}

// newLinks begins the links of a list at the path, which is escaped. params are
// those of a family's member, as a query.
func newLinks(path, params string, w Window) *links {
	if params != "" {
		params += "&"
	}
	return &links{before: "<" + path + "?" + params + "limit=" + strconv.Itoa(w.Limit)}
}

func (l *links) add(rel, param, value string) {
	if l.b.Len() > 0 {
		l.b.WriteString(", ")
	}
	l.b.WriteString(l.before + "&" + param + "=" + value + `>; rel="` + rel + `"`)
}

// OffsetLinks returns the links of a page that begins at an offset, as one header
// value: first, prev, next and last, as far as they exist. The path is the list's,
// escaped; params are those of a family's member, as a query; total is the number of
// rows.
func OffsetLinks(path, params string, w Window, total int) string {
	last := 0 // offset of the last page; an empty list has one empty page
	if total > 0 {
		last = (total - 1) / w.Limit * w.Limit
	}
	l := newLinks(path, params, w)
	to := func(rel string, offset int) { l.add(rel, "offset", strconv.Itoa(offset)) }
	to("first", 0)
	if w.Offset > 0 {
		// From beyond the end, the page before is the last one.
		to("prev", min(max(0, w.Offset-w.Limit), last))
	}
	if total > w.Limit && w.Offset < total-w.Limit {
		to("next", w.Offset+w.Limit)
	}
	to("last", last)
	return l.b.String()
}

// CursorLinks returns the links of a page that begins after a cursor: first, and
// next if there is one. The window holds the offset at which the page begins.
func CursorLinks(path, params string, s *live.Snapshot, w Window) string {
	l := newLinks(path, params, w)
	l.add("first", "after", "")
	if last := w.Offset + w.Limit - 1; last < s.Len()-1 {
		for r := range s.Page(last, 1) {
			l.add("next", "after", Cursor(r))
		}
	}
	return l.b.String()
}
