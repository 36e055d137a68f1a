package rest

import "strings"

// tagScanner reads the entity tags of one If-None-Match or If-Match field line
// (RFC 9110, section 8.8.3), without allocating. It stops at the first thing
// that is no tag: what stands before it counts, so a malformed field can only
// lead to more being sent.
type tagScanner struct{ rest string }

// entityTag is one tag, without its quotes.
type entityTag struct {
	opaque string
	weak   bool
}

// next returns the next tag, and false at the end.
func (s *tagScanner) next() (t entityTag, ok bool) {
	rest := strings.TrimLeft(s.rest, " \t,")
	s.rest = ""
	rest, t.weak = strings.CutPrefix(rest, "W/")
	if rest == "" || rest[0] != '"' {
		return t, false
	}
	rest = rest[1:]
	end := strings.IndexByte(rest, '"')
	if end < 0 {
		return t, false
	}
	t.opaque = rest[:end]
	for i := range len(t.opaque) {
		if c := t.opaque[i]; c <= ' ' || c == 0x7f {
			return t, false
		}
	}
	// A list has commas: text that goes on after a tag is no list.
	rest = strings.TrimLeft(rest[end+1:], " \t")
	if rest != "" && rest[0] != ',' {
		return t, false
	}
	s.rest = rest
	return t, true
}

// isAny reports whether the field is the single "*".
func isAny(lines []string) bool {
	return len(lines) == 1 && strings.Trim(lines[0], " \t") == "*"
}
