package rest

import (
	"strconv"
	"strings"
)

// pageLinks returns the links (RFC 8288) from a page to its neighbours, as one
// header value. path is the list's own, escaped, and params are those of a
// family's member, as a query; total is the number of rows.
func pageLinks(path, params string, w window, total int) string {
	if params != "" {
		params += "&"
	}
	last := 0 // offset of the last page; an empty list has one empty page
	if total > 0 {
		last = (total - 1) / w.limit * w.limit
	}
	var b strings.Builder
	link := func(rel string, offset int) {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString("<" + path + "?" + params + "limit=" + strconv.Itoa(w.limit) + "&offset=" + strconv.Itoa(offset) + `>; rel="` + rel + `"`)
	}
	link("first", 0)
	if w.offset > 0 {
		// From beyond the end, the page before is the last one.
		link("prev", min(max(0, w.offset-w.limit), last))
	}
	if total > w.limit && w.offset < total-w.limit {
		link("next", w.offset+w.limit)
	}
	link("last", last)
	return b.String()
}
