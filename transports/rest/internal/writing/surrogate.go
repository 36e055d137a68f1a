package writing

import "strconv"

// loneSurrogate reports whether a JSON text has an escape of half a surrogate pair, which
// encoding/json would replace. It leaves text that is not JSON to encoding/json.
func loneSurrogate(body []byte) bool {
	half := func(at int) uint64 { // the code unit that is escaped there, or 0
		if at+6 > len(body) || body[at] != '\\' || body[at+1] != 'u' {
			return 0
		}
		unit, err := strconv.ParseUint(string(body[at+2:at+6]), 16, 16)
		if err != nil {
			return 0
		}
		return unit
	}
	for i := 0; i < len(body); i++ {
		if body[i] != '\\' {
			continue
		}
		switch unit := half(i); {
		case unit >= 0xd800 && unit < 0xdc00:
			if low := half(i + 6); low < 0xdc00 || low >= 0xe000 {
				return true
			}
			i += 11
		case unit >= 0xdc00 && unit < 0xe000:
			return true
		default:
			i++ // skip what is escaped: it may be another backslash
		}
	}
	return false
}
