package rest

import (
	"net/http"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// matcher returns what a write's preconditions (RFC 9110, section 13.2.2)
// demand of the row as the database has it, nil for nothing. Dates come from
// the snapshot, since the database has none.
func (t *Transport) matcher(h http.Header, s *live.Snapshot, key driver.Key) func(live.Row) bool {
	if h["If-Match"] == nil && h["If-None-Match"] == nil && h["If-Unmodified-Since"] == nil {
		return nil
	}
	return func(row live.Row) bool {
		c := rowContent(row)
		if lines := h["If-Match"]; lines != nil {
			if !matchesStrongly(lines, c) {
				return false
			}
		} else if since, ok := httpDate(h["If-Unmodified-Since"]); ok {
			// What the binding does not show yet was changed just now.
			shown, ok := s.Get(key)
			if !ok || shown.Token() != row.Token() {
				return false
			}
			if date, ok := shown.HTTPDate(t.reg.Now()); !ok || date.After(since) {
				return false
			}
		}
		return !matchesWeakly(h["If-None-Match"], c)
	}
}

// admitsInsert evaluates the preconditions of a POST, which are about the list.
// Unlike a row, a list is not locked in between, so they do not keep two
// clients from inserting at the same time.
func (t *Transport) admitsInsert(x exchange, s *live.Snapshot) bool {
	h := x.r.Header
	e := t.edition(x.view, s)
	if lines := h["If-Match"]; lines != nil {
		if !matchesStrongly(lines, e.list) {
			return false
		}
	} else if since, ok := httpDate(h["If-Unmodified-Since"]); ok {
		if date, ok := s.HTTPDate(t.reg.Now()); !ok || date.After(since) {
			return false
		}
	}
	return !matchesWeakly(h["If-None-Match"], e.list)
}

// matchesWeakly reports whether If-None-Match names the content, in any coding.
func matchesWeakly(lines []string, c *content) bool {
	if isAny(lines) {
		return true
	}
	for _, line := range lines {
		for s := (tagScanner{line}); ; {
			tag, ok := s.next()
			if !ok {
				break
			}
			if _, ok := c.codingOf(tag.opaque); ok {
				return true
			}
		}
	}
	return false
}
