package admin_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/plugins/admin"
)

// TestNoGuard: the plugin does not start open, nor with what is no token.
func TestNoGuard(t *testing.T) {
	for _, c := range []struct {
		cfg admin.Config
		is  error
	}{{admin.Config{}, admin.ErrNoGuard}, {admin.Config{Token: "with space"}, nil}, {admin.Config{Token: "x", Timeout: -1}, nil}} {
		reg := core.NewRegistry()
		_ = reg.Use(admin.New(echo.New().Group("/admin"), c.cfg))
		err := reg.Start(t.Context())
		if err == nil || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%+v: Start returns %v", c.cfg, err)
		}
		_ = reg.Shutdown(context.Background())
	}
}

// TestWithoutToken: nothing is told without the token, whether it exists or not.
func TestWithoutToken(t *testing.T) {
	d := newDesk(t, admin.Config{Token: token})
	for _, target := range []string{"/admin/", "/admin/style.css", "/admin/api/status", "/admin/api/bindings", "/admin/api/stream", "/admin/api/bindings/items/explain?key=1", "/admin/nothing", "/admin/api/bindings/nothing/bump"} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"} {
			for _, header := range [][]string{nil, {"Authorization", "Bearer wrong"}, {"Authorization", "Bearer"}, {"Authorization", "Bearer " + token + "x"}, {"Authorization", "Basic " + token}, {"Cookie", "bindery_admin=" + token}, {"Cookie", "bindery_admin="}} {
				w := d.ask(method, target, header...)
				if w.Code != 401 || w.Header().Get("WWW-Authenticate") == "" || w.Header().Get("Set-Cookie") != "" {
					t.Errorf("%s %s with %v: %d %v", method, target, header, w.Code, w.Header())
				}
			}
			if w := d.ask(method, target+map[bool]string{true: "&", false: "?"}[strings.Contains(target, "?")]+"token=wrong"); w.Code != 401 || w.Header().Get("Set-Cookie") != "" {
				t.Errorf("%s %s with a wrong token in the query: %d", method, target, w.Code)
			}
		}
	}
	if w := d.ask("GET", "/admin/", "Accept", "text/html,*/*;q=0.8"); w.Code != 401 || !strings.Contains(w.Body.String(), `name="token"`) {
		t.Errorf("a browser: %d %s", w.Code, w.Body)
	}
}

// TestCookie: the page turns the token of its address into a cookie, and changes
// by cookie come from the page alone.
func TestCookie(t *testing.T) {
	d := newDesk(t, admin.Config{Token: token})
	w := d.ask("GET", "/admin/?token="+token)
	cookie := cookieOf(t, w)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "./" {
		t.Errorf("the page with a token: %d, Location %q", w.Code, w.Header().Get("Location"))
	}
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || strings.Contains(cookie.Value, token) || cookie.Secure {
		t.Errorf("the cookie: %v", cookie)
	}
	if !cookieOf(t, d.ask("GET", "/admin/?token="+token, "X-Forwarded-Proto", "https")).Secure {
		t.Error("behind TLS the cookie is not Secure")
	}
	if w := d.ask("GET", "/admin?token=x"); w.Code != http.StatusPermanentRedirect || w.Header().Get("Location") != "./admin/?token=x" {
		t.Errorf("without the slash: %d %q", w.Code, w.Header().Get("Location"))
	}
	with := cookie.Name + "=" + cookie.Value
	for _, target := range []string{"/admin/", "/admin/api/status"} {
		if w := d.ask("GET", target, "Cookie", with, "Sec-Fetch-Site", "cross-site"); w.Code != 200 {
			t.Errorf("%s with the cookie: %d", target, w.Code)
		}
	}
	before := d.items.Version()
	for _, header := range [][]string{
		nil,
		{"Origin", "null"},
		{"Origin", "http://evil.example"},
		{"Origin", "http://example.com.evil.example"},
		{"Origin", "http://example.com:81"},
		{"Origin", "file://example.com"},
		{"Origin", "http://example.com", "Origin", "http://evil.example"},
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Sec-Fetch-Site", "none"},
		{"Sec-Fetch-Site", "cross-site", "Origin", "http://example.com"},
		{"Referer", "http://example.com/admin/"},
	} {
		w := d.ask("POST", "/admin/api/bindings/items/bump", append(header, "Cookie", with)...)
		if w.Code != 403 || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("POST with the cookie and %v: %d", header, w.Code)
		}
	}
	if now := d.items.Version(); now != before {
		t.Errorf("a refused request changed the version: %v, %v", before, now)
	}
	for _, header := range [][]string{{"Origin", "http://example.com"}, {"Origin", "http://example.com:80"}, {"Sec-Fetch-Site", "same-origin"}} {
		if w := d.ask("POST", "/admin/api/bindings/items/bump", append(header, "Cookie", with)...); w.Code != 200 {
			t.Errorf("POST with the cookie and %v: %d %s", header, w.Code, w.Body)
		}
	}
	// What brings the token itself is no page of somebody else's.
	if w := d.ask("POST", "/admin/api/bindings/items/bump", "Authorization", "bearer "+token, "Sec-Fetch-Site", "cross-site"); w.Code != 200 {
		t.Errorf("POST with the token: %d", w.Code)
	}
	// A wrong token is not made good by a cookie.
	if w := d.ask("GET", "/admin/api/status", "Authorization", "Bearer wrong", "Cookie", with); w.Code != 401 {
		t.Errorf("a wrong token beside the cookie: %d", w.Code)
	}
}

// TestGuard: the application's middleware decides, and pages of other origins
// still change nothing.
func TestGuard(t *testing.T) {
	guard := func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if c.Request().Header.Get("X-User") != "root" {
				return c.NoContent(http.StatusTeapot)
			}
			return next(c)
		}
	}
	d := newDesk(t, admin.Config{Guard: guard})
	for _, c := range []struct {
		method string
		header []string
		want   int
	}{
		{"GET", nil, http.StatusTeapot},
		{"GET", []string{"X-User", "root"}, 200},
		{"POST", []string{"X-User", "root"}, 403},
		{"POST", []string{"X-User", "root", "Origin", "http://evil.example"}, 403},
		{"POST", []string{"X-User", "root", "Origin", "http://example.com"}, 200},
		{"POST", []string{"X-User", "root", "Authorization", "Bearer anything"}, 200},
		{"POST", []string{"Origin", "http://example.com"}, http.StatusTeapot},
	} {
		target := "/admin/api/status"
		if c.method == "POST" {
			target = "/admin/api/bindings/items/bump"
		}
		if w := d.ask(c.method, target, c.header...); w.Code != c.want {
			t.Errorf("%s with %v: %d, want %d", c.method, c.header, w.Code, c.want)
		}
	}
	both := newDesk(t, admin.Config{Guard: guard, Token: token})
	if w := both.ask("GET", "/admin/api/status", "X-User", "root"); w.Code != 401 {
		t.Errorf("with both guards, the token missing: %d", w.Code)
	}
	if w := both.ask("GET", "/admin/api/status", "X-User", "root", "Authorization", "Bearer "+token); w.Code != 200 {
		t.Errorf("with both guards: %d", w.Code)
	}
}

// TestHosts: with a list of names, a request for another one learns nothing, even where
// the application's guard has let it in.
func TestHosts(t *testing.T) {
	open := func(next echo.HandlerFunc) echo.HandlerFunc { return next }
	d := newDesk(t, admin.Config{Guard: open, Hosts: []string{"Ops.example", "127.0.0.1", "::1"}})
	for host, want := range map[string]int{
		"ops.example": 200, "OPS.example:8080": 200, "ops.example.": 200, "127.0.0.1:80": 200, "[::1]:80": 200, "[::1]": 200,
		"evil.example": 421, "ops.example.evil.example": 421, "": 421, "127.0.0.1.evil.example:80": 421,
	} {
		r := httptest.NewRequest("GET", "/admin/api/status", nil)
		r.Host = host
		w := httptest.NewRecorder()
		d.echo.ServeHTTP(w, r)
		if w.Code != want || want != 200 && strings.Contains(w.Body.String(), "items") {
			t.Errorf("Host %q: %d, want %d: %s", host, w.Code, want, w.Body)
		}
		r = httptest.NewRequest("POST", "/admin/api/bindings/items/bump", nil)
		r.Host = host
		r.Header.Set("Sec-Fetch-Site", "same-origin") // as browsers see it
		w = httptest.NewRecorder()
		if d.echo.ServeHTTP(w, r); w.Code != want {
			t.Errorf("POST to host %q: %d, want %d", host, w.Code, want)
		}
	}
	for _, host := range []string{"", "http://ops.example", "ops.example:80", "*.example"} {
		if err := (admin.Config{Token: token, Hosts: []string{host}}).Validate(); err == nil {
			t.Errorf("the host %q is accepted", host)
		}
	}
}

// TestFromElsewhere: a link on another site opens the page too. Browsers do not send the
// new cookie after a redirect that another site has begun.
func TestFromElsewhere(t *testing.T) {
	d := newDesk(t, admin.Config{Token: token})
	w := d.ask("GET", "/admin/?token="+token, "Sec-Fetch-Site", "cross-site")
	if cookieOf(t, w); w.Code != 200 || !strings.Contains(w.Body.String(), `content="0;url=./"`) || strings.Contains(w.Body.String(), token) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, site := range []string{"none", "same-origin"} {
		if w := d.ask("GET", "/admin/?token="+token, "Sec-Fetch-Site", site); w.Code != http.StatusSeeOther {
			t.Errorf("from %s: %d", site, w.Code)
		}
	}
}

// TestCookieNames: browsers send cookies to all ports of a host, so two programs there
// need two names.
func TestCookieNames(t *testing.T) {
	one, other := newDesk(t, admin.Config{Token: token}), newDesk(t, admin.Config{Token: "another"})
	a, b := cookieOf(t, one.ask("GET", "/admin/?token="+token)), cookieOf(t, other.ask("GET", "/admin/?token=another"))
	if a.Name == b.Name || !strings.HasPrefix(a.Name, "bindery_admin") {
		t.Errorf("the cookies are called %q and %q", a.Name, b.Name)
	}
	both := a.Name + "=" + a.Value + "; " + b.Name + "=" + b.Value
	if w := one.ask("GET", "/admin/api/status", "Cookie", both); w.Code != 200 {
		t.Errorf("with both cookies: %d", w.Code)
	}
	if w := one.ask("GET", "/admin/api/status", "Cookie", a.Name+"="+b.Value); w.Code != 401 {
		t.Errorf("with the other's value: %d", w.Code)
	}
}

// TestOptions: the methods are told to whoever may come in, and to no other origin.
func TestOptions(t *testing.T) {
	d := newDesk(t, admin.Config{Token: token})
	for target, want := range map[string]string{"/admin/api/status": "GET, HEAD, OPTIONS", "/admin/": "GET, HEAD, OPTIONS", "/admin/api/bindings/items/bump": "POST, OPTIONS"} {
		w := d.ask("OPTIONS", target, "Authorization", "Bearer "+token, "Origin", "http://evil.example", "Access-Control-Request-Method", "POST")
		if w.Code != http.StatusNoContent || w.Header().Get("Allow") != want || w.Header().Get("Access-Control-Allow-Origin") != "" || w.Body.Len() > 0 {
			t.Errorf("%s: %d %v %s", target, w.Code, w.Header(), w.Body)
		}
		if w := d.ask("OPTIONS", target, "Origin", "http://evil.example"); w.Code != 401 || w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s without the token: %d %v", target, w.Code, w.Header())
		}
	}
}
