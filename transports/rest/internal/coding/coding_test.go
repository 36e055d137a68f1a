package coding

import (
	"bytes"
	"strings"
	"testing"

	"github.com/binderyhq/bindery/transports/rest/internal/resttest"
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
		if got := ParseAccept([]string{header}).Best().String(); got != want {
			t.Errorf("%.60q: %s, want %s", header, got, want)
		}
	}
	if got := ParseAccept([]string{"gzip;q=0.5", "br"}).Best(); got != Brotli {
		t.Errorf("two lines: %s", got)
	}
	none := ParseAccept(nil)
	if none.Best() != Identity || !none.Accepts(Gzip) {
		t.Error("without the header anything is acceptable and nothing asked for")
	}
	if empty := ParseAccept([]string{""}); empty.Accepts(Gzip) {
		t.Error("an empty header asks for no coding")
	}
}

func FuzzAcceptEncoding(f *testing.F) {
	for _, seed := range []string{"gzip, br;q=0.5", "*;q=0", "identity;q=0,*", "zstd;q=1.000", ";;,=", "gzip;q=0.5;x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		a := ParseAccept([]string{line})
		best := a.Best()
		if best >= Count {
			t.Fatalf("%q: coding %d", line, uint8(best))
		}
		// A coding is sent only to those who named it, or refused the plain body.
		if best != Identity && !strings.Contains(strings.ToLower(line), best.String()) && a.Accepts(Identity) {
			t.Fatalf("%q: %s", line, best)
		}
		if best != Identity && !a.Accepts(best) {
			t.Fatalf("%q: %s was refused", line, best)
		}
		for c := range Count {
			if a[c] < refused || a[c] > 1000 {
				t.Fatalf("%q: %s has %d", line, c, a[c])
			}
		}
	})
}

// Browsers refuse zstd frames that need a window above 8 MiB.
func TestLargeBodiesFitTheWindow(t *testing.T) {
	large := bytes.Repeat([]byte(`{"id":1,"name":"something that repeats"},`), 600_000) // 24 MB
	for _, c := range []Coding{Zstd, Brotli} {
		if !bytes.Equal(resttest.Unpack(t, c.String(), Compress(large, c)), large) {
			t.Errorf("%s: unpacked to something else", c)
		}
	}
}

// A suffix must tell the codings apart, and each name must lead back to its coding.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for c := range Count {
		if got, ok := Named(strings.ToUpper(c.String())); !ok || got != c {
			t.Errorf("%s is read as %s, %v", c, got, ok)
		}
		if seen[c.Suffix()] {
			t.Errorf("the suffix %q is not unique", c.Suffix())
		}
		seen[c.Suffix()] = true
	}
	if _, ok := Named("lz4"); ok {
		t.Error("an unknown coding has a name")
	}
}
