// Package origin decides whether pages of other origins may use a connection.
package origin

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Check returns what is wrong with an origin of a configuration: it is "*" or of
// the form scheme://host[:port].
func Check(o string) error {
	if o == "*" {
		return nil
	}
	if u, err := url.Parse(o); err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("origin %q is not of the form scheme://host[:port]", o)
	}
	return nil
}

// Allowed reports whether the request may open a connection: if it comes from no
// page, from one of the server's own, or from one of these origins, of which "*"
// stands for all but "null". Browsers let any page connect to any server and send
// the user's cookies along, so the server has to look at where the page came from.
func Allowed(r *http.Request, origins []string) bool {
	given := r.Header.Values("Origin")
	if len(given) == 0 {
		return true // no browser's page
	}
	if len(given) > 1 {
		return false
	}
	origin, err := url.Parse(given[0])
	if err != nil || origin.Scheme == "" || origin.Host == "" {
		return false // "null" above all: a sandboxed or local page
	}
	// The scheme is left alone: behind a proxy that ends TLS it is not known.
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
