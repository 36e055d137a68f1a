package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// cookiePrefix begins the name of the cookie that stands for the token.
const cookiePrefix = "bindery_admin_"

// guard checks the credentials of requests.
type guard struct {
	open       bool // there is no token: the application's middleware has decided
	token      [sha256.Size]byte
	cookieName string
	cookie     string
	hosts      []string // in lower case; empty: any
}

func newGuard(cfg Config) guard {
	// The cookie is not the token, so that whoever reads it cannot use the token
	// elsewhere. Its name depends on the token too: browsers send cookies to all ports of a
	// host, so the admins of two programs there would log each other out.
	derive := func(use string) string {
		sum := sha256.Sum256([]byte("bindery admin " + use + "\x00" + cfg.Token))
		return base64.RawURLEncoding.EncodeToString(sum[:])
	}
	g := guard{
		open: cfg.Token == "", token: sha256.Sum256([]byte(cfg.Token)),
		cookieName: cookiePrefix + derive("cookie name")[:8], cookie: derive("cookie"),
	}
	for _, host := range cfg.Hosts {
		g.hosts = append(g.hosts, strings.ToLower(host))
	}
	return g
}

// serves reports whether the request was meant for this admin: its Host is one of
// [Config].Hosts.
func (g guard) serves(r *http.Request) bool {
	if len(g.hosts) == 0 {
		return true
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return slices.Contains(g.hosts, strings.ToLower(strings.TrimSuffix(host, ".")))
}

// credential is the kind of credential that a request has.
type credential uint8

const (
	nothing   credential = iota
	byBearer             // Authorization: Bearer
	byQuery              // ?token=
	byCookie             // the cookie
	byMiddle             // the application's middleware
	byRefused            // a credential that is wrong
)

// admits returns the credential that admits the request. One that was sent on purpose
// counts before one that browsers send by themselves.
func (g guard) admits(r *http.Request) credential {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	bearer := strings.EqualFold(scheme, "Bearer")
	switch {
	case g.open && bearer:
		return byBearer // no page of another origin can send it unasked
	case g.open:
		return byMiddle
	case bearer:
		return g.check(strings.TrimSpace(token), byBearer)
	}
	if q := r.URL.Query(); q.Has("token") {
		return g.check(q.Get("token"), byQuery)
	}
	for _, c := range r.CookiesNamed(g.cookieName) {
		if subtle.ConstantTimeCompare([]byte(c.Value), []byte(g.cookie)) == 1 {
			return byCookie
		}
	}
	return nothing
}

// check compares hashes, so that timing reveals neither the content nor the length.
func (g guard) check(token string, by credential) credential {
	sum := sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(sum[:], g.token[:]) == 1 {
		return by
	}
	return byRefused
}

// keep sets the cookie. It has no Path: the browser then sends it to the folder of
// the page as the browser sees it, behind a proxy's prefix too (RFC 6265, 5.1.4).
func (g guard) keep(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{
		Name: g.cookieName, Value: g.cookie, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https"),
	})
}

// ownOrigin reports whether the request comes from a page of the server's own origin.
// The header Sec-Fetch-Site decides if it is present: no page can set it, and it is
// right even behind a proxy that changes Host.
func ownOrigin(r *http.Request) bool {
	if site := r.Header.Values("Sec-Fetch-Site"); len(site) > 0 {
		return len(site) == 1 && site[0] == "same-origin"
	}
	origins := r.Header.Values("Origin")
	if len(origins) != 1 {
		return false
	}
	origin, err := url.Parse(origins[0])
	if err != nil || origin.Host == "" {
		return false // "null" above all
	}
	port := map[string]string{"http": ":80", "https": ":443"}[strings.ToLower(origin.Scheme)]
	if port == "" {
		return false
	}
	trim := func(host string) string { return strings.TrimSuffix(strings.ToLower(host), port) }
	return trim(origin.Host) == trim(r.Host)
}

// fromElsewhere reports whether a page of another origin has sent the browser here. The
// browser then keeps the cookie back, also after a redirect, because it is SameSite=Strict.
func fromElsewhere(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "cross-site" || site == "same-site"
}

// safe reports whether a method changes nothing (RFC 9110, 9.2.1).
func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}
