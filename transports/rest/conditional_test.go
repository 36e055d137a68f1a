package rest

import (
	"net/http"
	"testing"
	"time"

	"github.com/binderyhq/bindery/transports/rest/internal/coding"
	"pgregory.net/rapid"
)

func TestIfNoneMatch(t *testing.T) {
	s := newShop(t, 100) // long enough to be compressed
	v := s.Version()
	for _, c := range []struct {
		header []string // field lines
		accept string   // Accept-Encoding, "" for none
		status int
		etag   string // suffix
	}{
		{[]string{`"` + v + `"`}, "", 304, ""},
		{[]string{`W/"` + v + `"`}, "", 304, ""}, // weak comparison
		{[]string{`*`}, "", 304, ""},
		{[]string{` * `}, "", 304, ""},
		{[]string{`"a", "` + v + `"`}, "", 304, ""},
		{[]string{`"a","b",W/"c",,"` + v + `" , "d"`}, "", 304, ""},
		{[]string{`"a"`, `"` + v + `"`}, "", 304, ""},
		{[]string{`"a, ` + v + `"`}, "", 200, ""},
		{[]string{`"a"`}, "", 200, ""},
		{[]string{``}, "", 200, ""},
		{[]string{v}, "", 200, ""}, // without quotes it is no tag
		{[]string{`w/"` + v + `"`}, "", 200, ""},
		{[]string{`"` + v}, "", 200, ""},
		{[]string{`"` + v + `"x`}, "", 200, ""},
		{[]string{`"` + v + `-"`}, "", 200, ""},
		{[]string{`"` + v[1:] + `"`}, "", 200, ""},
		{[]string{`"*"`}, "", 200, ""},
		// Each coding is a representation of its own.
		{[]string{`"` + v + `-gzip"`}, "gzip", 304, "-gzip"},
		{[]string{`W/"` + v + `-gzip"`}, "gzip", 304, "-gzip"},
		{[]string{`"` + v + `-gzip"`}, "zstd, br, gzip", 304, "-gzip"},
		{[]string{`"` + v + `-gzip"`}, "", 304, "-gzip"},
		{[]string{`"` + v + `-gzip"`}, "identity", 200, ""},
		{[]string{`"` + v + `-gzip"`}, "br", 200, "-br"},
		{[]string{`"` + v + `-gzip"`}, "gzip;q=0", 200, ""},
		{[]string{`"` + v + `"`}, "gzip", 304, ""},
		{[]string{`"` + v + `"`}, "gzip, identity;q=0", 200, "-gzip"},
		{[]string{`*`}, "gzip", 304, "-gzip"},
		{[]string{`"` + v + `-lz4"`}, "gzip", 200, "-gzip"},
	} {
		var headers []string
		for _, line := range c.header {
			headers = append(headers, "If-None-Match", line)
		}
		if c.accept != "" {
			headers = append(headers, "Accept-Encoding", c.accept)
		}
		res := s.Do("GET", "/api/products", headers...)
		if res.StatusCode != c.status || res.Header.Get("ETag") != `"`+v+c.etag+`"` {
			t.Errorf("%q, %q: %d with %s, want %d with %q", c.header, c.accept, res.StatusCode, res.Header.Get("ETag"), c.status, c.etag)
		}
	}
	// A change makes every one of them differ, and a change back the same again.
	s.Put(product{ID: 1, Name: "changed"})
	for in := range coding.Count {
		want(t, s.Do("GET", "/api/products", "If-None-Match", `"`+v+in.Suffix()+`"`), 200)
	}
	s.Put(product{ID: 1, Name: "product 1"})
	want(t, s.Do("GET", "/api/products", "If-None-Match", `"`+v+`"`), 304)
}

// A body that is too short to be compressed has one representation.
func TestShortBodiesHaveOneTag(t *testing.T) {
	s := newShop(t, 1)
	v := s.Version()
	res := s.Do("GET", "/api/products", "Accept-Encoding", "gzip")
	if res.Header.Get("ETag") != `"`+v+`"` || res.Header.Get("Content-Encoding") != "" || res.Header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("headers %v", res.Header)
	}
	want(t, s.Do("GET", "/api/products", "Accept-Encoding", "gzip", "If-None-Match", `"`+v+`-gzip"`), 200)
	want(t, s.Do("GET", "/api/products", "Accept-Encoding", "gzip, identity;q=0", "If-None-Match", `"`+v+`"`), 304)
}

func TestIfModifiedSince(t *testing.T) {
	s := newShop(t, 2)
	at := func(d time.Duration) string {
		return s.Clock.Now().Add(d).Truncate(time.Second).Format(http.TimeFormat)
	}
	// The second of the change is not over: nothing is dated, so no date can
	// match.
	for _, d := range []time.Duration{-time.Hour, 0, time.Second, time.Hour} {
		want(t, s.Do("GET", "/api/products", "If-Modified-Since", at(d)), 200)
	}
	s.Clock.Advance(10 * time.Second)
	dated := s.Do("GET", "/api/products").Header.Get("Last-Modified")
	if dated == "" {
		t.Fatal("no Last-Modified")
	}
	for _, target := range []string{"/api/products", "/api/products/1", "/api/products?limit=1"} {
		for _, c := range []struct {
			headers []string
			status  int
		}{
			{[]string{"If-Modified-Since", dated}, 304},
			{[]string{"If-Modified-Since", at(0)}, 304},
			{[]string{"If-Modified-Since", at(-time.Hour)}, 200},
			{[]string{"If-Modified-Since", at(time.Minute)}, 200}, // a clock that cannot be trusted
			{[]string{"If-Modified-Since", "yesterday"}, 200},
			{[]string{"If-Modified-Since", dated, "If-Modified-Since", dated}, 200},
			// If-None-Match takes precedence, also when it does not match.
			{[]string{"If-Modified-Since", dated, "If-None-Match", `"other"`}, 200},
			{[]string{"If-Modified-Since", dated, "If-None-Match", `malformed`}, 200},
			{[]string{"If-Modified-Since", at(-time.Hour), "If-None-Match", `*`}, 304},
			{[]string{"If-Unmodified-Since", dated}, 200},
			{[]string{"If-Unmodified-Since", at(-time.Hour)}, 412},
			{[]string{"If-Unmodified-Since", "yesterday"}, 200},
		} {
			res := s.Do("GET", target, c.headers...)
			if res.StatusCode != c.status {
				t.Errorf("%s %q: %d, want %d", target, c.headers, res.StatusCode, c.status)
			}
		}
	}
	// Two changes within a second, one answer between them.
	s.Put(product{ID: 1, Name: "first"})
	first := s.Do("GET", "/api/products")
	s.Put(product{ID: 1, Name: "second"})
	want(t, s.Do("GET", "/api/products", "If-Modified-Since", at(0)), 200)
	want(t, s.Do("GET", "/api/products", "If-Modified-Since", dated), 200)
	if got := first.Header.Get("Last-Modified"); got != "" {
		t.Errorf("dated %q within the second of the change", got)
	}
	want(t, s.Do("GET", "/api/products", "If-Unmodified-Since", at(0)), 412)
}

func TestIfMatch(t *testing.T) {
	s := newShop(t, 100)
	v := s.Version()
	for header, status := range map[string]int{
		`"` + v + `"`:          200,
		`"x", "` + v + `-br"`:  200, // a cache may have unpacked the body
		`*`:                    200,
		`W/"` + v + `"`:        412,
		`"x"`:                  412,
		`malformed`:            412,
		`"x" "` + v + `-gzip"`: 412,
	} {
		res := s.Do("GET", "/api/products", "If-Match", header)
		want(t, res, status)
		want(t, s.Do("GET", "/api/products", "If-Match", header, "If-None-Match", `"`+v+`"`), map[int]int{200: 304, 412: 412}[status])
	}
}

// A client that revalidates before each use, by tag and by date in any
// combination and with any coding, never uses a body that is not current.
func TestRevalidationNeverLies(t *testing.T) {
	s := newShop(t, 30)
	rapid.Check(t, func(rt *rapid.T) {
		type stored struct {
			body, etag, dated string
		}
		// Stored by what the client accepts, as a cache with Vary does.
		cache := map[string]stored{}
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "step") {
			case 0:
				s.Put(product{ID: rapid.Int64Range(1, 3).Draw(rt, "id"), Name: rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "name")})
			case 1:
				s.Clock.Advance(time.Duration(rapid.IntRange(0, 1500).Draw(rt, "ms")) * time.Millisecond)
			default:
				target := rapid.SampledFrom([]string{"/api/products", "/api/products/1", "/api/products?limit=2&offset=1"}).Draw(rt, "target")
				accept := rapid.SampledFrom([]string{"identity", "gzip", "br, gzip;q=0.5", "zstd"}).Draw(rt, "accept")
				headers := []string{"Accept-Encoding", accept}
				old, ok := cache[target+accept]
				byTag, byDate := rapid.Bool().Draw(rt, "by tag"), rapid.Bool().Draw(rt, "by date")
				if ok && byTag {
					headers = append(headers, "If-None-Match", old.etag)
				}
				if ok && byDate && old.dated != "" {
					headers = append(headers, "If-Modified-Since", old.dated)
				}
				res := s.Do("GET", target, headers...)
				switch res.StatusCode {
				case 200:
					cache[target+accept] = stored{body(s.T, res), res.Header.Get("ETag"), res.Header.Get("Last-Modified")}
				case 304:
					fresh := s.Do("GET", target, "Accept-Encoding", accept)
					if body(s.T, fresh) != old.body || fresh.Header.Get("ETag") != old.etag {
						rt.Fatalf("%s: 304 for what has changed", target)
					}
				default:
					rt.Fatalf("status %d", res.StatusCode)
				}
			}
		}
	})
}
