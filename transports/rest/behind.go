package rest

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/transports/internal/outer"
)

// stepOut has the answer written around compressing middleware: answers are
// compressed here, once per version, and their tags say in which coding. Where
// that middleware does not show what it wraps it is left to compress, and
// compressed is true. Then the answer must be plain. So must it be when the header is
// not sent as soon as it is written: such middleware, when it finds that nothing was
// written through it, removes the Content-Encoding that rest has set.
func stepOut(res *echo.Response) (plain, compressed bool) {
	h := res.Header()
	below, peeled := outer.Peel(res.Writer, outer.Compresses)
	if peeled {
		res.Writer = below
		h.Del("Content-Encoding") // which some middleware sets in advance
	}
	compressed = outer.Find(below)&outer.Compresses != 0 || h["Content-Encoding"] != nil
	return compressed || peeled && !outer.Own(below), compressed
}

// etag returns the header for the content in the coding. The tag of a body that
// something outside may compress is weak: the server does not know its bytes
// (RFC 9110, section 8.8.1).
func (x exchange) etag(c *content, in coding) []string {
	if x.compressed {
		return []string{"W/" + c.etags[in][0]}
	}
	return c.etags[in]
}

// baseOf returns what stands in front of the paths of this request, as its
// client sees them: what a trusted proxy says that it strips, or else the
// configured base path.
func (t *Transport) baseOf(r *http.Request) string {
	if lines := r.Header["X-Forwarded-Prefix"]; lines != nil && t.trusts(r.RemoteAddr) {
		if prefix, ok := forwardedPrefix(lines); ok {
			return prefix
		}
	}
	return t.cfg.BasePath
}

// trusts reports whether the peer is a proxy that may say where it is mounted.
func (t *Transport) trusts(remote string) bool {
	if len(t.cfg.TrustedProxies) == 0 {
		return false
	}
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false // a socket file, for one
	}
	addr := peer.Addr().Unmap().WithZone("")
	for _, network := range t.cfg.TrustedProxies {
		if network.Contains(addr) {
			return true
		}
	}
	return false
}

// forwardedPrefix reads X-Forwarded-Prefix. It is no standard; of several proxies
// each adds its own, the outermost first, as Spring reads it.
func forwardedPrefix(lines []string) (string, bool) {
	var whole strings.Builder
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			part = strings.TrimRight(strings.Trim(part, " \t"), "/")
			if !isBasePath(part) {
				return "", false
			}
			whole.WriteString(part)
		}
	}
	return whole.String(), whole.Len() <= maxBasePath
}

// maxBasePath bounds what a proxy can add to each link, in bytes.
const maxBasePath = 256

// isBasePath reports whether the text can stand in front of the path of a link:
// empty, or segments of a URL's path (RFC 3986), each after a slash.
func isBasePath(text string) bool {
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
