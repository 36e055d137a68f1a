package notmodified

import "net/http"

// writer completes the headers just before they are sent.
type writer struct {
	http.ResponseWriter
	page *page
	sent bool
}

func (w *writer) before(status int) {
	if !w.sent {
		w.sent = true
		w.page.finish(w.Header(), status)
	}
}

// WriteHeader implements [http.ResponseWriter].
func (w *writer) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.before(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *writer) Write(b []byte) (int, error) {
	w.before(http.StatusOK)
	return w.ResponseWriter.Write(b)
}

// FlushError is for [http.ResponseController], which sends the headers with it.
func (w *writer) FlushError() error {
	w.before(http.StatusOK)
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush implements [http.Flusher], which many handlers ask for.
func (w *writer) Flush() {
	_ = w.FlushError() // a writer that cannot flush sends in its own time
}

// Unwrap is for [http.ResponseController].
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
