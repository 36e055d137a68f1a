package precondition

import (
	"iter"
	"strings"
)

// Tag is an entity tag (RFC 9110, section 8.8.3), without its quotes.
type Tag struct {
	Opaque string
	Weak   bool
}

// Tags returns the entity tags in the field lines of If-None-Match or If-Match.
// Where a line is malformed, the tags before that place count, and the rest of the
// line does not. So a malformed header can only make the answer longer.
func Tags(lines []string) iter.Seq[Tag] {
	return func(yield func(Tag) bool) {
		for _, line := range lines {
			for {
				tag, rest, ok := nextTag(line)
				if !ok {
					break
				}
				if !yield(tag) {
					return
				}
				line = rest
			}
		}
	}
}

// nextTag reads the first tag of a line, and returns the rest of the line.
func nextTag(line string) (t Tag, rest string, ok bool) {
	rest = strings.TrimLeft(line, " \t,")
	rest, t.Weak = strings.CutPrefix(rest, "W/")
	if rest == "" || rest[0] != '"' {
		return t, "", false
	}
	rest = rest[1:]
	end := strings.IndexByte(rest, '"')
	if end < 0 {
		return t, "", false
	}
	t.Opaque = rest[:end]
	for i := range len(t.Opaque) {
		if c := t.Opaque[i]; c <= ' ' || c == 0x7f {
			return t, "", false
		}
	}
	// Tags are separated by commas: other text after a tag makes the line malformed.
	rest = strings.TrimLeft(rest[end+1:], " \t")
	if rest != "" && rest[0] != ',' {
		return t, "", false
	}
	return t, rest, true
}

// IsAny reports whether the header is the single "*".
func IsAny(lines []string) bool {
	return len(lines) == 1 && strings.Trim(lines[0], " \t") == "*"
}
