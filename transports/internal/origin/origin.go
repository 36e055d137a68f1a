// Package origin decides whether pages of other origins may use a connection.
package origin

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Check returns an error unless the origin is "*" or has the form scheme://host[:port].
func Check(o string) error {
	if o == "*" {
		return nil
	}
	if u, err := url.Parse(o); err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("origin %q is not of the form scheme://host[:port]", o)
	}
	return nil
}

// Allowed reports whether the request may open a connection: it does not come from a
// page, or the page has the server's own origin or one of these; "*" allows all but
// "null". Browsers let any page connect to any server and send the user's cookies
// along, so the server must check the page's origin.
func Allowed(r *http.Request, origins []string) bool {
	given := r.Header.Values("Origin")
	if len(given) == 0 {
		return true // not a page in a browser
	}
	if len(given) > 1 {
		return false
	}
	origin, err := url.Parse(given[0])
	if err != nil || origin.Scheme == "" || origin.Host == "" {
		return false // mostly "null": a sandboxed or local page
	}
	// The scheme is not compared: behind a proxy that ends TLS it is unknown.
	if sameHost(origin.Scheme, origin.Host, r.Host) {
		return true
	}
	for _, o := range origins {
		if o == "*" {
			return true
		}
		allowed, err := url.Parse(o)
		if err == nil && strings.EqualFold(allowed.Scheme, origin.Scheme) && sameHost(origin.Scheme, allowed.Host, origin.Host) {
			return true
		}
	}
	return false
}

// sameHost compares hosts, with the scheme's default port where none is named.
func sameHost(scheme, a, b string) bool {
	port := map[string]string{"http": ":80", "https": ":443"}[strings.ToLower(scheme)]
	trim := func(host string) string { return strings.TrimSuffix(strings.ToLower(host), port) }
	return trim(a) == trim(b)
}
