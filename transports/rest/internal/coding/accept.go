package coding

import "strings"

// Two weights beside those of the header.
const (
	refused  = -1 // q=0, or a coding that the header leaves out
	implicit = 0  // acceptable without being named, so the last choice
)

// Accept holds the weight that a request's Accept-Encoding gives to each coding:
// 1 to 1000, or refused, or implicit.
type Accept [Count]int16

// ParseAccept reads the field lines of Accept-Encoding. It skips malformed
// members.
func ParseAccept(lines []string) Accept {
	var a Accept
	if len(lines) == 0 {
		return a // anything goes, nothing is asked for
	}
	var named [Count]bool
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
			if c, ok := Named(name); ok && !named[c] {
				named[c] = true
				if a[c] = q; q == 0 {
					a[c] = refused
				}
			}
		}
	}
	for c := range Count {
		if !named[c] {
			a[c] = others
		}
	}
	if !named[Identity] && !wildcard {
		a[Identity] = implicit
	}
	return a
}

// weight reads the parameters of a member and returns the weight in thousandths:
// 1000 when there are none. It is false for parameters that are malformed.
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
func (a Accept) Accepts(c Coding) bool { return a[c] != refused }

// best returns the coding to send. Codings that the client merely does not
// refuse are chosen only when it refuses the plain body; when it refuses that
// too, and everything else, the plain body is sent all the same, since that
// helps more than an error.
func (a Accept) Best() Coding {
	best := Identity
	for c := range Identity {
		if a[c] > implicit && (a[c] > a[best] || best == Identity && a[c] == a[best]) {
			best = c
		}
	}
	if best == Identity && !a.Accepts(Identity) && a.Accepts(Gzip) {
		return Gzip // the one that everybody knows
	}
	return best
}
