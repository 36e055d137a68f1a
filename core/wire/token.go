package wire

import (
	"strings"

	"github.com/binderyhq/bindery/core/live"
)

// codings are the suffixes of entity tags for compressed bodies.
var codings = []string{"-gzip", "-br", "-zstd"}

// ParseToken returns the version token in a client's text. It also accepts an entity tag
// from an HTTP answer: quoted, weak, and with the suffix of a content coding. For anything
// that cannot be a token it returns "", which no version has.
func ParseToken(s string) string {
	if tag, ok := strings.CutPrefix(strings.TrimPrefix(s, "W/"), `"`); ok {
		if s, ok = strings.CutSuffix(tag, `"`); !ok {
			return ""
		}
	}
	if len(s) > live.TokenLength {
		token, suffix := s[:live.TokenLength], s[live.TokenLength:]
		known := false
		for _, c := range codings {
			known = known || suffix == c
		}
		if !known {
			return ""
		}
		s = token
	}
	if len(s) != live.TokenLength {
		return ""
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return ""
		}
	}
	return s
}
