package sse_test

import (
	"net/http"
	"testing"

	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/sse"
)

// TestMarks: a stream, and HEAD of one, that bears a mark is answered when the binding
// shows what it covers, and bears it.
func TestMarks(t *testing.T) {
	s := newServer(t, sse.Config{}, "things")
	s.start()
	defer s.stop()
	s.Put("things", wiretest.Item{ID: 1, Name: "one"})
	mark, err := s.Reg.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int{mark: http.StatusOK, "no mark": http.StatusBadRequest, "": http.StatusOK} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			req, err := http.NewRequestWithContext(t.Context(), method, s.http.URL+"/events/things", nil)
			if err != nil {
				t.Fatal(err)
			}
			if text != "" {
				req.Header.Set("Bindery-Mark", text)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != want || want == http.StatusOK && res.Header.Get("Bindery-Mark") != text {
				t.Errorf("%s with %q: %d, %q", method, text, res.StatusCode, res.Header.Get("Bindery-Mark"))
			}
		}
	}
}
