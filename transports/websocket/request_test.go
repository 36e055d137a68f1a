package websocket

import (
	"encoding/json"
	"testing"
	"unicode/utf8"
)

func FuzzDecodeRequest(f *testing.F) {
	for _, s := range []string{
		`{"event":"products"}`, `{"event":"products","version":"abc"}`, `{"event":"products","page":2}`,
		`{"event":"orders","params":{"user":42}}`, `{"event":"products","disconnect":true}`,
		`{"event":7}`, `{"event":"a","page":-1}`, `{"event":"a","page":1e3}`, `[]`, `null`, ``, `{"event":"a","event":"b"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		r, p := decodeRequest(msg)
		var object map[string]any
		isObject := json.Unmarshal(msg, &object) == nil && object != nil
		switch {
		case p == nil && (!isObject || r.event == "" || r.page < 0 || r.event != object["event"]):
			t.Errorf("%q is taken for %+v", msg, r)
		case p != nil && !isObject && r.event != "":
			t.Errorf("%q: an event from no object: %+v", msg, r)
		case p != nil && !utf8.Valid(p.JSON()):
			t.Errorf("%q: %s", msg, p.JSON())
		}
	})
}
