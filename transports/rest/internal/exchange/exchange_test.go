package exchange

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/rest/internal/coding"
	"github.com/binderyhq/bindery/transports/rest/internal/content"
)

// serve answers one request by the function, behind the middleware.
func serve(method string, answer func(*Exchange) error, behind ...echo.MiddlewareFunc) *http.Response {
	e := echo.New()
	e.Any("/:binding/:key", func(c echo.Context) error { x := New(c); return answer(&x) }, behind...)
	r := httptest.NewRequest(method, "/products/7", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	rec := httptest.NewRecorder()
	e.ServeHTTP(rec, r)
	return rec.Result()
}

func TestWrite(t *testing.T) {
	c := content.Untagged([]byte("a body that is long enough"), nil)
	for _, tt := range []struct {
		method string
		min    int
		want   coding.Coding
	}{
		{"GET", 5, coding.Gzip},
		{"GET", 500, coding.Identity},
		{"GET", -1, coding.Identity},
		{"HEAD", 5, coding.Gzip},
	} {
		res := serve(tt.method, func(x *Exchange) error {
			if x.Key != "7" {
				t.Errorf("the key is %q", x.Key)
			}
			x.MinCompress = tt.min
			return x.Write(http.StatusOK, c, x.Coding(c))
		})
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(res.Header["Content-Encoding"], tt.want.Header()) || res.Header.Get("Content-Length") == "" || (len(body) == 0) != (tt.method == "HEAD") {
			t.Errorf("%s, compressed from %d: %v, %q", tt.method, tt.min, res.Header, body)
		}
	}
}

// Answers go around Echo's Gzip: it would compress them again.
func TestBehindGzip(t *testing.T) {
	c := content.Untagged([]byte("a body that is long enough"), nil)
	res := serve("GET", func(x *Exchange) error { return x.Write(http.StatusOK, c, x.Coding(c)) }, middleware.Gzip())
	body, err := io.ReadAll(res.Body)
	if err != nil || len(res.Header["Content-Encoding"]) > 1 {
		t.Fatalf("%v, %v", err, res.Header)
	}
	if want := c.Body(coding.Identity); res.Header.Get("Content-Encoding") == "" && string(body) != string(want) {
		t.Errorf("%q", body)
	}
}

// A body is read once, however often the request is begun anew.
func TestBody(t *testing.T) {
	var b Body
	read := 0
	for range 3 {
		got, p := b.Read(func() ([]byte, *problem.Problem) { read++; return []byte("x"), problem.Internal() })
		if string(got) != "x" || p == nil {
			t.Errorf("%q, %v", got, p)
		}
	}
	if read != 1 {
		t.Errorf("read %d times", read)
	}
}

// Values that answers share are never modified.
func TestAddHeader(t *testing.T) {
	shared := make([]string, 1, 4)
	shared[0] = "Accept-Encoding"
	h := http.Header{}
	AddHeader(h, "Vary", shared)
	AddHeader(h, "Vary", []string{"Origin"})
	if got := h["Vary"]; !slices.Equal(got, []string{"Accept-Encoding", "Origin"}) || shared[:2][1] != "" {
		t.Errorf("%q, %q", got, shared[:2])
	}
}
