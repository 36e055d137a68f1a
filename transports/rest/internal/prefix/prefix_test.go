package prefix

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestOf(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	for _, c := range []struct {
		remote string
		lines  []string
		want   string
	}{
		{"192.0.2.1:80", nil, "/shop"},
		{"192.0.2.1:80", []string{"/a"}, "/a"},
		{"[2001:db8::1%eth0]:80", []string{"/a"}, "/a"},
		{"[::ffff:192.0.2.1]:80", []string{"/a"}, "/a"},
		{"198.51.100.1:80", []string{"/a"}, "/shop"},
		{"@", []string{"/a"}, "/shop"}, // a Unix socket
		{"192.0.2.1:80", []string{"/a, /b/", "/c"}, "/a/b/c"},
		{"192.0.2.1:80", []string{"/"}, ""},
		{"192.0.2.1:80", []string{"/a, evil"}, "/shop"},
		{"192.0.2.1:80", []string{"/" + strings.Repeat("a", maxForwarded-1)}, "/" + strings.Repeat("a", maxForwarded-1)},
		{"192.0.2.1:80", []string{"/" + strings.Repeat("a", maxForwarded)}, "/shop"},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{}}
		if c.lines != nil {
			r.Header["X-Forwarded-Prefix"] = c.lines
		}
		if got := (Prefix{Default: "/shop", Trusted: trusted}).Of(r); got != c.want {
			t.Errorf("%s, %.40q: %q, want %q", c.remote, c.lines, got, c.want)
		}
	}
}

// What a proxy says stands in a Link header, so nothing in it may end the link, or name
// another server.
func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{"/a", "/a, /b/", "//host", "/a>; rel=next", "/a/../b", "/%2e%2e"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got, ok := forwarded([]string{line})
		if !ok {
			return
		}
		if strings.ContainsAny(got, "<>\"\\?# \t\r\n") || strings.HasPrefix(got, "//") || strings.HasSuffix(got, "/") || got != "" && got[0] != '/' || len(got) > maxForwarded {
			t.Errorf("%q becomes %q", line, got)
		}
	})
}
