package session

import (
	"encoding/json"
	"testing"
	"unicode/utf8"
)

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"event":"products"}`, `{"event":"products","version":"abc"}`, `{"event":"products","page":2}`,
		`{"event":"orders","params":{"user":42}}`, `{"event":"products","disconnect":true}`,
		`{"event":7}`, `{"event":"a","page":-1}`, `{"event":"a","page":1e3}`, `[]`, `null`, ``, `{"event":"a","event":"b"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		r, p := Decode(msg)
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

// FuzzDecodeArgument: the event is the one given, whatever the argument says, and
// the same fields are read as by Decode.
func FuzzDecodeArgument(f *testing.F) {
	for _, s := range []string{``, `null`, `{"version":"abc"}`, `{"event":7,"page":2}`, `{"params":{"user":42}}`, `{"disconnect":"x"}`, `[]`, `"a"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, arg []byte) {
		r, p := DecodeArgument("things", arg)
		if r.event != "things" {
			t.Errorf("%q: event %q", arg, r.event)
		}
		if p != nil && !utf8.Valid(p.JSON()) {
			t.Errorf("%q: %s", arg, p.JSON())
		}
		var fields map[string]json.RawMessage
		if json.Unmarshal(arg, &fields) != nil || fields == nil {
			return
		}
		fields["event"] = json.RawMessage(`"things"`)
		msg, err := json.Marshal(fields)
		if err != nil {
			return
		}
		same, q := Decode(msg)
		if (p == nil) != (q == nil) || same.version != r.version || same.page != r.page || same.disconnect != r.disconnect || len(same.params) != len(r.params) {
			t.Errorf("%q: %+v %v, as a message %+v %v", arg, r, p, same, q)
		}
	})
}
