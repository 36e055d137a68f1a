package precondition

import (
	"net/http"
	"time"

	"github.com/binderyhq/bindery/transports/rest/internal/coding"
)

// Outcome tells how to answer a request.
type Outcome uint8

const (
	Proceed     Outcome = iota // as if there were no preconditions
	NotModified                // with 304
	Failed                     // with 412
)

// Tagged is content with an entity tag for each coding.
type Tagged interface {
	// CodingOf returns the coding whose tag has this opaque part, and false if no
	// coding of the content has.
	CodingOf(opaque string) (coding.Coding, bool)
}

// Verdict is the outcome of a request's preconditions for one content.
type Verdict struct {
	Outcome Outcome
	Coding  coding.Coding // of the representation to answer with
	Held    bool          // the client showed a tag of the content
}

// Judge evaluates the preconditions of a GET or HEAD in the order of RFC 9110,
// section 13.2.2. The date is the value of Last-Modified, or zero if the answer
// shows none. compressible says whether the content may be sent compressed.
//
// Each coding of the content is a representation with its own tag. The server
// selects one of those that the client accepts. Judge selects the one whose tag the
// client shows, so a client gets its 304 whichever coding it received before. The tag
// of a coding that the client does not accept never matches: a 304 would
// make a cache answer with a body that the client cannot read.
func Judge(h http.Header, content Tagged, date, now time.Time, compressible bool) Verdict {
	accept := coding.ParseAccept(h["Accept-Encoding"])
	v := Verdict{Coding: coding.Identity}
	if compressible {
		v.Coding = accept.Best()
	}

	if lines := h["If-Match"]; lines != nil {
		if !MatchesStrongly(lines, content) {
			v.Outcome = Failed
			return v
		}
	} else if since, ok := Date(h["If-Unmodified-Since"]); ok {
		// Without a date the last change is too recent to have one, so it is later
		// than every date.
		if date.IsZero() || date.After(since) {
			v.Outcome = Failed
			return v
		}
	}

	if lines := h["If-None-Match"]; lines != nil {
		if IsAny(lines) {
			v.Outcome = NotModified
			return v
		}
		for tag := range Tags(lines) {
			in, ok := content.CodingOf(tag.Opaque)
			if ok && (in == v.Coding || (in == coding.Identity || compressible) && accept.Accepts(in)) {
				v.Outcome, v.Coding, v.Held = NotModified, in, true
				return v
			}
		}
		return v
	}
	// This server sends no date of the future: one that comes back is from another
	// server, or from a clock that is wrong.
	if since, ok := Date(h["If-Modified-Since"]); ok && !date.IsZero() && !date.After(since) && !since.After(now) {
		v.Outcome = NotModified
	}
	return v
}

// MatchesStrongly reports whether If-Match names the content, by a strong tag of any
// coding: a cache may have decompressed the body and kept the tag.
func MatchesStrongly(lines []string, content Tagged) bool {
	return matches(lines, content, false)
}

// MatchesWeakly reports whether If-None-Match names the content, by any tag of any
// coding.
func MatchesWeakly(lines []string, content Tagged) bool {
	return matches(lines, content, true)
}

func matches(lines []string, content Tagged, weak bool) bool {
	if IsAny(lines) {
		return true
	}
	for tag := range Tags(lines) {
		if _, ok := content.CodingOf(tag.Opaque); ok && (weak || !tag.Weak) {
			return true
		}
	}
	return false
}

// Date reads a header that holds one date. It is false for a header that is missing,
// repeated or malformed.
func Date(lines []string) (time.Time, bool) {
	if len(lines) != 1 {
		return time.Time{}, false
	}
	t, err := http.ParseTime(lines[0])
	return t, err == nil
}
