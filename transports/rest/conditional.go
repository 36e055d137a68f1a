package rest

import (
	"net/http"
	"time"
)

// outcome is what a request's preconditions lead to.
type outcome uint8

const (
	proceed     outcome = iota // answer as if there were none
	notModified                // 304
	failed                     // 412
)

// verdict is the outcome of a request's preconditions for one content.
type verdict struct {
	outcome outcome
	coding  coding // of the representation that is selected
	held    bool   // the client showed the content's own tag
}

// judge evaluates the preconditions of a GET or HEAD in the order of RFC 9110,
// section 13.2.2. The date is the one that Last-Modified shows, or the zero
// time while it shows none.
//
// Each coding is a representation with a tag of its own, and which of them is
// selected is the server's choice among those that the client accepts. A
// client that shows the tag of one that it accepts has that one selected, so
// that it gets a 304 whichever coding it once received; a tag of a coding that
// it does not accept does not match, since a 304 would make a cache answer
// with a body that this client cannot read.
func judge(h http.Header, c *content, date, now time.Time, compressible bool) verdict {
	accept := parseAccept(h["Accept-Encoding"])
	v := verdict{coding: identity}
	if compressible {
		v.coding = accept.best()
	}

	if lines := h["If-Match"]; lines != nil {
		if !matchesStrongly(lines, c) {
			v.outcome = failed
			return v
		}
	} else if since, ok := httpDate(h["If-Unmodified-Since"]); ok {
		// A change that is too young to be dated is later than every date.
		if date.IsZero() || date.After(since) {
			v.outcome = failed
			return v
		}
	}

	if lines := h["If-None-Match"]; lines != nil {
		if isAny(lines) {
			v.outcome = notModified
			return v
		}
		for _, line := range lines {
			for s := (tagScanner{line}); ; {
				tag, ok := s.next()
				if !ok {
					break
				}
				in, ok := c.codingOf(tag.opaque)
				if ok && (in == v.coding || (in == identity || compressible) && accept.accepts(in)) {
					v.outcome, v.coding, v.held = notModified, in, true
					return v
				}
			}
		}
		return v
	}
	// A date in the future was not made here, or by a clock that cannot be
	// trusted.
	if since, ok := httpDate(h["If-Modified-Since"]); ok && !date.IsZero() && !date.After(since) && !since.After(now) {
		v.outcome = notModified
	}
	return v
}

// matchesStrongly reports whether If-Match names the content, in any coding: a
// cache may have unpacked the body on the way and kept the tag.
func matchesStrongly(lines []string, c *content) bool {
	if isAny(lines) {
		return true
	}
	for _, line := range lines {
		for s := (tagScanner{line}); ; {
			tag, ok := s.next()
			if !ok {
				break
			}
			if _, ok := c.codingOf(tag.opaque); ok && !tag.weak {
				return true
			}
		}
	}
	return false
}

// httpDate reads a header that holds one date.
func httpDate(lines []string) (time.Time, bool) {
	if len(lines) != 1 {
		return time.Time{}, false
	}
	t, err := http.ParseTime(lines[0])
	return t, err == nil
}
