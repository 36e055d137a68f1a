package request

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// HeaderMark is the header that carries marks, in both directions, as net/http spells
// it.
const HeaderMark = "Bindery-Mark"

// Mark returns the mark in a request's header, or else in its parameters, and
// whether there is one. A header that is repeated counts as a malformed mark.
func Mark(h http.Header, params map[string]string) (mark string, given bool) {
	if lines := h[HeaderMark]; len(lines) > 0 {
		if len(lines) > 1 {
			return "", true
		}
		return lines[0], true
	}
	mark, given = params[ParamMark]
	return mark, given
}

// PreferredWait returns how long the client is willing to wait by the field lines of
// Prefer (RFC 7240, section 4.3), and whether it says so. The first such preference
// counts. A malformed one is ignored: a preference is never an error.
func PreferredWait(lines []string) (wait time.Duration, given bool) {
	for _, line := range lines {
		for line != "" {
			var member string
			member, line, _ = strings.Cut(line, ",")
			member, _, _ = strings.Cut(member, ";")
			name, value, _ := strings.Cut(member, "=")
			if !strings.EqualFold(strings.Trim(name, " \t"), "wait") {
				continue
			}
			value = strings.Trim(strings.Trim(value, " \t"), `"`)
			seconds, err := strconv.ParseUint(value, 10, 63)
			switch {
			case err == nil && seconds <= math.MaxInt64/uint64(time.Second):
				return time.Duration(seconds) * time.Second, true
			case err != nil && strings.Trim(value, "0123456789") == "" && value != "":
				return math.MaxInt64, true
			case err == nil:
				return math.MaxInt64, true
			}
			return 0, false
		}
	}
	return 0, false
}
