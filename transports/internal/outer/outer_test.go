package outer

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/klauspost/compress/gzhttp"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// embedding is the wrapper that tutorials show.
type embedding struct {
	io.Writer
	http.ResponseWriter
}

func (e embedding) Write(b []byte) (int, error) { return e.Writer.Write(b) }

// hiding shows nothing of what it wraps.
type hiding struct {
	inner http.ResponseWriter
	out   io.Writer
}

func (h *hiding) Header() http.Header         { return h.inner.Header() }
func (h *hiding) WriteHeader(status int)      { h.inner.WriteHeader(status) }
func (h *hiding) Write(b []byte) (int, error) { return h.out.Write(b) }

// counting is harmless, and shows what it wraps.
type counting struct {
	http.ResponseWriter
}

func (c *counting) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// behind returns the writer that a handler gets behind middleware of Echo's.
func behind(t *testing.T, use ...echo.MiddlewareFunc) http.ResponseWriter {
	t.Helper()
	e := echo.New()
	e.Use(use...)
	var got http.ResponseWriter
	e.GET("/", func(c echo.Context) error { got = c.Response().Writer; return nil })
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	e.ServeHTTP(httptest.NewRecorder(), r)
	return got
}

func TestHabits(t *testing.T) {
	dump := middleware.BodyDump(func(echo.Context, []byte, []byte) {})
	recorder := httptest.NewRecorder()
	//lint:ignore SA1019 applications have it all the same
	timeout := middleware.TimeoutWithConfig(middleware.TimeoutConfig{Timeout: time.Minute})
	for name, c := range map[string]struct {
		w     http.ResponseWriter
		found Habits
		left  Habits // after peeling all that can be peeled
	}{
		"server's own":         {recorder, 0, 0},
		"Echo's Gzip":          {behind(t, middleware.Gzip()), Compresses, 0},
		"Echo's BodyDump":      {behind(t, dump), Copies, 0},
		"BodyDump in Gzip":     {behind(t, middleware.Gzip(), dump), Compresses | Copies, 0},
		"Gzip in BodyDump":     {behind(t, dump, middleware.Gzip()), Compresses | Copies, 0},
		"Timeout":              {behind(t, timeout), 0, 0},
		"Timeout in Gzip":      {behind(t, middleware.Gzip(), timeout), Compresses, Compresses},
		"embedding":            {embedding{gzip.NewWriter(recorder), recorder}, Compresses, 0},
		"hiding":               {&hiding{recorder, gzip.NewWriter(recorder)}, Compresses, Compresses},
		"hiding nothing":       {&hiding{recorder, &bytes.Buffer{}}, 0, 0},
		"counting in a Gzip":   {&counting{ResponseWriter: behind(t, middleware.Gzip())}, Compresses, Compresses},
		"Gzip around counting": {embedding{gzip.NewWriter(recorder), &counting{ResponseWriter: recorder}}, Compresses, 0},
		"nothing in it":        {embedding{}, 0, 0},
		"nil":                  {nil, 0, 0},
	} {
		if c.w == nil {
			if got := Find(c.w); got != 0 {
				t.Errorf("%s: %b", name, got)
			}
			continue
		}
		if got := Find(c.w); got != c.found {
			t.Errorf("%s: habits %b, want %b", name, got, c.found)
		}
		below, peeled := Peel(c.w, Compresses|Copies)
		if got := Find(below); got != c.left {
			t.Errorf("%s: habits %b are left, want %b", name, got, c.left)
		}
		if want := c.found != c.left; peeled != want {
			t.Errorf("%s: peeled: %v, want %v", name, peeled, want)
		}
	}
}

// gzhttp takes its writer apart when the handler returns.
func TestKlauspostsHandler(t *testing.T) {
	for _, accept := range []string{"gzip", "identity"} {
		h := gzhttp.GzipHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			below, peeled := Peel(w, Compresses)
			if _, ok := below.(*httptest.ResponseRecorder); !ok || !peeled || Find(w) != Compresses {
				t.Errorf("%s: %T is below %T", accept, below, w)
			}
		}))
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept-Encoding", accept)
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}

func TestPeelKeepsWhatWasNotAskedFor(t *testing.T) {
	dump := middleware.BodyDump(func(echo.Context, []byte, []byte) {})
	w := behind(t, middleware.Gzip(), dump)
	if below, peeled := Peel(w, Compresses); peeled || below != w {
		t.Errorf("a copy was peeled that only a stream minds: %T", below)
	}
}

func BenchmarkPlain(b *testing.B) {
	w := http.ResponseWriter(httptest.NewRecorder())
	for b.Loop() {
		if _, peeled := Peel(w, Compresses); peeled || Find(w) != 0 {
			b.Fatal("found something")
		}
	}
}
