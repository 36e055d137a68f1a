package model

import (
	"encoding/json"
	"reflect"
	"testing"
)

// JSON names are checked against encoding/json itself.
func TestJSONNames(t *testing.T) {
	type Deep struct{ A, B, C, Twice int }
	type Middle struct {
		Deep
		B     int
		Other int `json:"C"`
	}
	type Side struct{ Twice, D int }
	type row struct {
		Middle
		*Side
		E    int `json:"D"`
		skip int
		G    int    `json:"-"`
		H    string `json:",omitempty"`
		Deep Deep   `json:"deep"`
	}
	b, err := json.Marshal(row{Side: &Side{}, H: "h", skip: 1})
	if err != nil {
		t.Fatal(err)
	}
	var encoded map[string]any
	if err := json.Unmarshal(b, &encoded); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]bool)
	for _, name := range jsonNames(reflect.TypeFor[row]()) {
		got[name] = true
	}
	for name := range encoded {
		if !got[name] {
			t.Errorf("%q is missing", name)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%q is not in the encoded row %s", name, b)
	}
}
