package rest

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func TestBestCoding(t *testing.T) {
	for header, want := range map[string]string{
		"":                                     "identity",
		"gzip":                                 "gzip",
		"x-gzip":                               "gzip",
		"GZIP":                                 "gzip",
		"gzip, deflate, br, zstd":              "zstd",
		"gzip, deflate, br":                    "br",
		"gzip;q=1.0, br;q=0.5":                 "gzip",
		"gzip;q=0.5, br;q=0.501":               "br",
		"gzip ; q=0.9 , br":                    "br",
		"gzip;Q=0.9,zstd;q=0.8":                "gzip",
		"gzip;q=0":                             "identity",
		"gzip;q=0.000, br;q=0":                 "identity",
		"gzip;q=0.5, identity":                 "identity",
		"gzip, identity":                       "gzip",
		"gzip;q=0.001":                         "gzip",
		"identity":                             "identity",
		"*":                                    "identity", // anything goes, so the plainest
		"*;q=0":                                "identity", // nothing goes: better than an error
		"identity;q=0":                         "identity", // likewise
		"identity;q=0, *":                      "gzip",
		"*;q=0, br":                            "br",
		"br;q=0, *":                            "identity",
		"deflate":                              "identity",
		"gzip;q=2":                             "identity",
		"gzip;q=1.001":                         "identity",
		"gzip;q=0.0001":                        "identity",
		"gzip;q=":                              "identity",
		"gzip;q=x, br":                         "br",
		"gzip;level=9":                         "identity",
		",, gzip ,":                            "gzip",
		"gzip;q=0, gzip":                       "identity", // the first counts
		strings.Repeat("a,", 10_000) + "zstd":  "zstd",
		"gzip;q=0.8;q=0.9, br;q=0.7, zstd;q=1": "zstd",
	} {
		if got := names[parseAccept([]string{header}).best()]; got != want {
			t.Errorf("%.60q: %s, want %s", header, got, want)
		}
	}
	if got := parseAccept([]string{"gzip;q=0.5", "br"}).best(); got != brotliCoding {
		t.Errorf("two lines: %s", names[got])
	}
	none := parseAccept(nil)
	if none.best() != identity || !none.accepts(gzipCoding) {
		t.Error("without the header anything is acceptable and nothing asked for")
	}
	if empty := parseAccept([]string{""}); empty.accepts(gzipCoding) {
		t.Error("an empty header asks for no coding")
	}
}

func FuzzAcceptEncoding(f *testing.F) {
	for _, seed := range []string{"gzip, br;q=0.5", "*;q=0", "identity;q=0,*", "zstd;q=1.000", ";;,=", "gzip;q=0.5;x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		a := parseAccept([]string{line})
		best := a.best()
		if best >= codings {
			t.Fatalf("%q: coding %d", line, best)
		}
		// A coding is sent only to those who named it, or refused the plain body.
		if best != identity && !strings.Contains(strings.ToLower(line), names[best]) && a.accepts(identity) {
			t.Fatalf("%q: %s", line, names[best])
		}
		if best != identity && !a.accepts(best) {
			t.Fatalf("%q: %s was refused", line, names[best])
		}
		for c := range codings {
			if a[c] < refused || a[c] > 1000 {
				t.Fatalf("%q: %s has %d", line, names[c], a[c])
			}
		}
	})
}

// unpack undoes a coding with its library's own decoder.
func unpack(t *testing.T, c string, b []byte) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(b)
	switch c {
	case "gzip":
		z, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		r = z
	case "br":
		r = brotli.NewReader(r)
	case "zstd":
		z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		r = z
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%s: %v", c, err)
	}
	return out
}

func TestCompressedBodies(t *testing.T) {
	s := newShop(t, 1000)
	s.put(product{1, strings.Repeat("long ", 500)})
	for _, target := range []string{"/api/products", "/api/products?limit=500&offset=3", "/api/products/1"} {
		res := s.do("GET", target)
		plain := body(t, res)
		tag := strings.Trim(res.Header.Get("ETag"), `"`)
		for _, c := range []string{"gzip", "br", "zstd"} {
			for range 2 { // from the shared body the second time
				res := s.do("GET", target, "Accept-Encoding", c)
				want(t, res, 200)
				packed := body(t, res)
				if got := res.Header.Get("ETag"); got != `"`+tag+"-"+c+`"` {
					t.Errorf("%s %s: ETag %s", target, c, got)
				}
				if res.Header.Get("Content-Encoding") != c || res.Header.Get("Vary") != "Accept-Encoding" || len(packed) >= len(plain)/2 {
					t.Errorf("%s %s: %d bytes, %v", target, c, len(packed), res.Header)
				}
				if got := string(unpack(t, c, []byte(packed))); got != plain {
					t.Errorf("%s %s: unpacked to something else", target, c)
				}
			}
			head := s.do("HEAD", target, "Accept-Encoding", c)
			if head.Header.Get("ETag") != `"`+tag+"-"+c+`"` || head.Header.Get("Content-Encoding") != c {
				t.Errorf("HEAD %s %s: %v", target, c, head.Header)
			}
		}
	}
}

// Browsers refuse zstd frames that need a window above 8 MiB.
func TestLargeBodiesFitTheWindow(t *testing.T) {
	large := bytes.Repeat([]byte(`{"id":1,"name":"something that repeats"},`), 600_000) // 24 MB
	for _, c := range []coding{zstdCoding, brotliCoding} {
		if !bytes.Equal(unpack(t, names[c], compress(large, c)), large) {
			t.Errorf("%s: unpacked to something else", names[c])
		}
	}
}

func TestCompressionOff(t *testing.T) {
	s := newShop(t, 1000, Config{MinCompress: -1})
	res := s.do("GET", "/api/products", "Accept-Encoding", "gzip")
	if res.Header.Get("Content-Encoding") != "" || res.Header.Get("ETag") != `"`+s.version()+`"` {
		t.Errorf("%v", res.Header)
	}
	body(t, res)
}

func TestSizeIsKnownBeforeTheBody(t *testing.T) {
	for _, n := range []int{0, 1, 2, 7} {
		s := newShop(t, n)
		v, _ := s.reg.Lookup("products")
		e := s.rest.edition(v, v.Snapshot())
		if got := len(e.list.body(identity)); got != e.list.size {
			t.Errorf("%d rows: %d bytes, announced %d", n, got, e.list.size)
		}
		for _, w := range []window{{1, 0}, {3, 2}, {9, 0}, {1, 99}} {
			p := e.page(w)
			if got := len(p.body(identity)); got != p.size {
				t.Errorf("%d rows, %+v: %d bytes, announced %d", n, w, got, p.size)
			}
		}
	}
}
