package rest

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// preferredWait returns how long the client would wait, from the field lines of
// Prefer (RFC 7240, section 4.3), and whether it says so. It returns 0 and false when there
// is no such preference or it makes no sense: a preference is no error. The first one
// counts.
func preferredWait(lines []string) (wait time.Duration, given bool) {
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
