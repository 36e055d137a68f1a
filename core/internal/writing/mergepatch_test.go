package writing

import (
	"encoding/json"
	"reflect"
	"testing"
)

// TestMergePatchOfRFC7396 are the examples of its appendix A.
func TestMergePatchOfRFC7396(t *testing.T) {
	for _, c := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`},
		{`{"a":"foo"}`, `null`, `null`},
		{`{"a":"foo"}`, `"bar"`, `"bar"`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		got, err := mergePatch(json.RawMessage(c[0]), json.RawMessage(c[1]))
		if err != nil || !sameJSON(got, json.RawMessage(c[2])) {
			t.Errorf("%s and %s: %s, %v; want %s", c[0], c[1], got, err, c[2])
		}
	}
}

// FuzzMergePatch: a patch that is applied once more changes nothing, and numbers stay as
// they are written.
func FuzzMergePatch(f *testing.F) {
	f.Add(`{"a":{"b":1}}`, `{"a":{"b":null,"c":12345678901234567890}}`)
	f.Add(`[1]`, `{"a":[null]}`)
	f.Add(`{}`, `1e400`)
	f.Fuzz(func(t *testing.T, target, patch string) {
		if !json.Valid([]byte(target)) || !json.Valid([]byte(patch)) {
			return
		}
		once, err := mergePatch(json.RawMessage(target), json.RawMessage(patch))
		if err != nil {
			t.Fatalf("valid JSON: %v", err)
		}
		twice, err := mergePatch(once, json.RawMessage(patch))
		if err != nil {
			t.Fatalf("its own result: %v", err)
		}
		if !reflect.DeepEqual(decoded(t, once), decoded(t, twice)) {
			t.Fatalf("%s after %s is %s, and then %s", target, patch, once, twice)
		}
	})
}

func decoded(t *testing.T, raw json.RawMessage) any {
	v, err := anyJSON(raw)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
