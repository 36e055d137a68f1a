package origin_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/binderyhq/bindery/transports/internal/origin"
)

func TestAllowed(t *testing.T) {
	for _, c := range []struct {
		host    string
		given   []string
		origins []string
		want    bool
	}{
		{"shop.example", nil, nil, true},
		{"shop.example", []string{"https://shop.example"}, nil, true},
		{"shop.example:443", []string{"https://SHOP.example"}, nil, true},
		{"shop.example:8080", []string{"https://shop.example"}, nil, false},
		{"shop.example", []string{"https://evil.example"}, nil, false},
		{"shop.example", []string{"https://evil.example"}, []string{"https://other.example"}, false},
		{"api.example", []string{"https://shop.example"}, []string{"https://shop.example"}, true},
		{"api.example", []string{"http://shop.example"}, []string{"https://shop.example"}, false},
		{"api.example", []string{"https://shop.example:443"}, []string{"https://shop.example"}, true},
		{"api.example", []string{"https://anybody.example"}, []string{"*"}, true},
		{"api.example", []string{"null"}, []string{"*"}, false},
		{"api.example", []string{""}, []string{"*"}, false},
		{"shop.example", []string{"https://shop.example", "https://shop.example"}, []string{"*"}, false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = c.host
		r.Header["Origin"] = c.given
		if c.given == nil {
			r.Header.Del("Origin")
		}
		if got := origin.Allowed(r, c.origins); got != c.want {
			t.Errorf("%q at %s, allowed %q: %t", c.given, c.host, c.origins, got)
		}
	}
}

func TestCheck(t *testing.T) {
	for o, good := range map[string]bool{
		"*": true, "https://shop.example": true, "http://shop.example:8080": true, "shop.example": false, "https://": false,
		"https://shop.example/": false, "https://shop.example/x": false, "https://me@shop.example": false, "https://shop.example?x": false, "null": false,
	} {
		if err := origin.Check(o); (err == nil) != good {
			t.Errorf("%q: %v", o, err)
		}
	}
}
