package rest

import (
	"strings"
	"testing"

	"github.com/binderyhq/bindery/transports/rest/internal/resttest"
)

func TestCompressedBodies(t *testing.T) {
	s := newShop(t, 1000)
	s.Put(product{ID: 1, Name: strings.Repeat("long ", 500)})
	for _, target := range []string{"/api/products", "/api/products?limit=500&offset=3", "/api/products/1"} {
		res := s.Do("GET", target)
		plain := body(t, res)
		tag := strings.Trim(res.Header.Get("ETag"), `"`)
		for _, c := range []string{"gzip", "br", "zstd"} {
			for range 2 { // from the shared body the second time
				res := s.Do("GET", target, "Accept-Encoding", c)
				want(t, res, 200)
				packed := body(t, res)
				if got := res.Header.Get("ETag"); got != `"`+tag+"-"+c+`"` {
					t.Errorf("%s %s: ETag %s", target, c, got)
				}
				if res.Header.Get("Content-Encoding") != c || res.Header.Get("Vary") != "Accept-Encoding" || len(packed) >= len(plain)/2 {
					t.Errorf("%s %s: %d bytes, %v", target, c, len(packed), res.Header)
				}
				if got := string(resttest.Unpack(t, c, []byte(packed))); got != plain {
					t.Errorf("%s %s: unpacked to something else", target, c)
				}
			}
			head := s.Do("HEAD", target, "Accept-Encoding", c)
			if head.Header.Get("ETag") != `"`+tag+"-"+c+`"` || head.Header.Get("Content-Encoding") != c {
				t.Errorf("HEAD %s %s: %v", target, c, head.Header)
			}
		}
	}
}

func TestCompressionOff(t *testing.T) {
	s := newShop(t, 1000, Config{MinCompress: -1})
	res := s.Do("GET", "/api/products", "Accept-Encoding", "gzip")
	if res.Header.Get("Content-Encoding") != "" || res.Header.Get("ETag") != `"`+s.Version()+`"` {
		t.Errorf("%v", res.Header)
	}
	body(t, res)
}
