package sse_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/sse"
)

// TestMarks: a stream, and HEAD of one, that bears a mark is answered when its bindings
// show what the mark covers, and bears it. The mark stands in a header or in the URL.
func TestMarks(t *testing.T) {
	s := newServer(t, sse.Config{}, "things", "others")
	s.start()
	defer s.stop()
	s.Put("things", wiretest.Item{ID: 1, Name: "one"})
	mark, err := s.Reg.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	place := func(path string) string {
		id := ""
		for _, name := range []string{"things", "others"} {
			if strings.Contains(path, name) {
				view, _ := s.Reg.Lookup(name)
				id += "." + view.Snapshot().Version().Token
			}
		}
		return `"` + id[1:] + `"`
	}
	for _, c := range []struct {
		path   string
		header []string
		status int
		bears  string
	}{
		{"/events/things", nil, http.StatusOK, ""},
		{"/events/things", []string{mark}, http.StatusOK, mark},
		{"/events/things", []string{"no mark"}, http.StatusBadRequest, ""},
		{"/events/things", []string{""}, http.StatusBadRequest, ""},
		{"/events/things", []string{mark, mark}, http.StatusBadRequest, ""},
		{"/events/things?mark=" + mark, nil, http.StatusOK, mark},
		{"/events/things?mark=no", nil, http.StatusBadRequest, ""},
		{"/events/things?mark=", nil, http.StatusBadRequest, ""},
		{"/events/things?mark=" + mark + "&mark=" + mark, nil, http.StatusBadRequest, ""},
		{"/events/things?mark=no", []string{mark}, http.StatusOK, mark}, // the header counts
		{"/events?event=things&event=others&mark=" + mark, nil, http.StatusOK, mark},
		{"/events?event=things&event=others", []string{mark}, http.StatusOK, mark},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			req, err := http.NewRequestWithContext(t.Context(), method, s.http.URL+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header["Bindery-Mark"] = c.header
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != c.status || res.Header.Get("Bindery-Mark") != c.bears {
				t.Errorf("%s %s with %q: %d, %q", method, c.path, c.header, res.StatusCode, res.Header.Get("Bindery-Mark"))
			}
			if tag := res.Header.Get("ETag"); method == http.MethodHead && res.StatusCode == http.StatusOK && tag != place(c.path) {
				t.Errorf("%s %s: ETag %s, want %s", method, c.path, tag, place(c.path))
			}
		}
	}
}
