package wireharness

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
)

// TutorialGzip is compressing middleware as in many tutorials: its writer embeds the
// one behind it, and cannot be flushed.
func TutorialGzip(next http.Handler) http.Handler {
	return withGzip(next, func(w http.ResponseWriter, gz io.Writer) http.ResponseWriter { return embedding{gz, w} })
}

type embedding struct {
	io.Writer
	http.ResponseWriter
}

func (w embedding) Write(b []byte) (int, error) { return w.Writer.Write(b) }

// HidingGzip is compressing middleware whose writer hides the one behind it.
func HidingGzip(next http.Handler) http.Handler {
	return withGzip(next, func(w http.ResponseWriter, gz io.Writer) http.ResponseWriter { return &hiding{w, gz} })
}

type hiding struct {
	inner http.ResponseWriter
	gz    io.Writer
}

func (w *hiding) Header() http.Header         { return w.inner.Header() }
func (w *hiding) WriteHeader(status int)      { w.inner.WriteHeader(status) }
func (w *hiding) Write(b []byte) (int, error) { return w.gz.Write(b) }

func withGzip(next http.Handler, wrap func(http.ResponseWriter, io.Writer) http.ResponseWriter) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		gz := gzip.NewWriter(w)
		defer gz.Close()
		next.ServeHTTP(wrap(w, gz), r)
	})
}
