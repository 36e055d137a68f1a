// Package prefix finds the prefix that a proxy strips from the paths of requests, so
// that links can lead through the proxy.
package prefix

import (
	"net/http"
	"net/netip"
	"strings"
)

// Prefix finds the prefix of each request.
type Prefix struct {
	// Default is the prefix of requests that do not come through a trusted proxy.
	Default string

	// Trusted are the networks of proxies whose X-Forwarded-Prefix takes the place
	// of Default.
	Trusted []netip.Prefix
}

// Of returns the prefix of the request's path as its client sees it.
func (p Prefix) Of(r *http.Request) string {
	if lines := r.Header["X-Forwarded-Prefix"]; lines != nil && p.trusts(r.RemoteAddr) {
		if prefix, ok := forwarded(lines); ok {
			return prefix
		}
	}
	return p.Default
}

// trusts reports whether the peer is a trusted proxy.
func (p Prefix) trusts(remote string) bool {
	if len(p.Trusted) == 0 {
		return false
	}
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false // the peer of a Unix socket has no address
	}
	addr := peer.Addr().Unmap().WithZone("")
	for _, network := range p.Trusted {
		if network.Contains(addr) {
			return true
		}
	}
	return false
}

// forwarded joins the prefixes in X-Forwarded-Prefix. The header has no standard:
// each proxy adds its own prefix to the list, and the outermost comes first, as
// in Spring.
func forwarded(lines []string) (string, bool) {
	var whole strings.Builder
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			part = strings.TrimRight(strings.Trim(part, " \t"), "/")
			if !Valid(part) {
				return "", false
			}
			whole.WriteString(part)
		}
	}
	return whole.String(), whole.Len() <= maxForwarded
}

// maxForwarded bounds how much proxies can add to each link, in bytes.
const maxForwarded = 256

// Valid reports whether the text can stand in front of the path of a link: it is
// empty, or consists of segments of a URL's path (RFC 3986), each after a slash.
func Valid(text string) bool {
	if text == "" {
		return true
	}
	if text[0] != '/' {
		return false
	}
	for segment := range strings.SplitSeq(text[1:], "/") {
		if segment == "" || segment == "." || segment == ".." {
			return false // "//host" would name another server
		}
		for _, c := range []byte(segment) {
			if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~%!$&'()*+=:@", c) >= 0) {
				return false
			}
		}
	}
	return true
}
