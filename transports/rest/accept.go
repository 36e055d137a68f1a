package rest

import "strings"

// coding is a content coding.
type coding uint8

// The codings, in the order in which they are preferred where the client has no
// preference: zstd compresses a body in a fraction of the time of the others,
// and gzip is the one that gains least.
const (
	zstdCoding coding = iota
	brotliCoding
	gzipCoding
	identity
	codings // their number
)

// names are the codings as HTTP spells them; suffixes what they add to a tag.
var (
	names    = [codings]string{"zstd", "br", "gzip", "identity"}
	suffixes = [codings]string{"-zstd", "-br", "-gzip", ""}
)

// The weight of a coding in thousandths, with two weights of our own.
const (
	refused  = -1 // q=0, or not mentioned
	implicit = 0  // acceptable without having been named: the last resort
)

// acceptance is what a request's Accept-Encoding says of each coding.
type acceptance [codings]int16

// parseAccept reads the field lines of Accept-Encoding (RFC 9110, section
// 12.5.3). Members that are malformed count as not there.
func parseAccept(lines []string) acceptance {
	var a acceptance
	if len(lines) == 0 {
		return a // anything goes, nothing is asked for
	}
	var named [codings]bool
	others, wildcard := int16(refused), false
	for _, line := range lines {
		for line != "" {
			var member string
			member, line, _ = strings.Cut(line, ",")
			name, params, _ := strings.Cut(member, ";")
			q, ok := weight(params)
			if !ok {
				continue
			}
			name = strings.Trim(name, " \t")
			if name == "*" {
				wildcard = true
				if others = implicit; q == 0 {
					others = refused
				}
				continue
			}
			if c, ok := codingOf(name); ok && !named[c] {
				named[c] = true
				if a[c] = q; q == 0 {
					a[c] = refused
				}
			}
		}
	}
	for c := range codings {
		if !named[c] {
			a[c] = others
		}
	}
	if !named[identity] && !wildcard {
		a[identity] = implicit
	}
	return a
}

// codingOf returns the coding of that name.
func codingOf(name string) (coding, bool) {
	for c, n := range names {
		if strings.EqualFold(n, name) {
			return coding(c), true
		}
	}
	return gzipCoding, strings.EqualFold(name, "x-gzip")
}

// weight reads the parameters of a member, in thousandths; 1000 without any.
func weight(params string) (q int16, ok bool) {
	params = strings.Trim(params, " \t")
	if params == "" {
		return 1000, true
	}
	if len(params) < 3 || params[0]|0x20 != 'q' || params[1] != '=' {
		return 0, false
	}
	digits := params[2:]
	if digits[0] != '0' && digits[0] != '1' || len(digits) > 5 {
		return 0, false
	}
	q = int16(digits[0]-'0') * 1000
	if len(digits) == 1 {
		return q, true
	}
	if digits[1] != '.' {
		return 0, false
	}
	unit := int16(100)
	for _, d := range []byte(digits[2:]) {
		if d < '0' || d > '9' {
			return 0, false
		}
		q += int16(d-'0') * unit
		unit /= 10
	}
	return q, q <= 1000
}

// accepts reports whether the client takes the coding.
func (a acceptance) accepts(c coding) bool { return a[c] != refused }

// best returns the coding to send. Codings that the client merely does not
// refuse are chosen only when it refuses the plain body; when it refuses that
// too, and everything else, the plain body is sent all the same, since that
// helps more than an error.
func (a acceptance) best() coding {
	best := identity
	for c := range identity {
		if a[c] > implicit && (a[c] > a[best] || best == identity && a[c] == a[best]) {
			best = c
		}
	}
	if best == identity && !a.accepts(identity) && a.accepts(gzipCoding) {
		return gzipCoding // the one that everybody knows
	}
	return best
}
