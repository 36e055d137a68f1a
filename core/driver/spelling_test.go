package driver

import (
	"errors"
	"strings"
	"testing"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

// A type with a text form of its own reads that, and the form in which keys are
// written; every way to make a key spells it as rows do.
func TestKeysOfSpelledColumns(t *testing.T) {
	s := Schema{Table: Table{Name: "t"}, Key: []string{"id", "code"}, Columns: []Column{
		{Name: "id", Kind: value.KindInt, Parse: func(text string) (value.Value, error) {
			digits, ok := strings.CutPrefix(text, "item-")
			if !ok {
				return value.Value{}, errors.New("no item")
			}
			return value.Parse(value.KindInt, digits)
		}},
		{Name: "code", Kind: value.KindText, Canonical: func(v value.Value) value.Value { return value.Text(strings.ToLower(v.String())) }},
	}}
	want := KeyOf(7, "ab")
	for name, make := range map[string]func() (Key, error){
		"its own text":  func() (Key, error) { return s.ParseKey("item-7", "AB") },
		"text of a key": func() (Key, error) { return s.ParseKey(want.Parts()...) },
		"MakeKey":       func() (Key, error) { return s.MakeKey(int32(7), "Ab") },
		"other types":   func() (Key, error) { return s.MakeKey("7", []byte("aB")) },
		"Adopt": func() (Key, error) {
			k, ok := s.Adopt(KeyOf("7", "AB"))
			if !ok {
				return "", errors.New("refused")
			}
			return k, nil
		},
	} {
		if got, err := make(); err != nil || got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if k, err := s.ParseKey("thing-7", "ab"); err == nil {
		t.Errorf("a text that neither reads is the key %q", k)
	}
	e := filter.And(filter.Ne("code", "AB"), filter.Not(filter.In("code", "Ab", "c")), filter.Eq("code", filter.Param("p")), filter.Eq("id", 7), filter.NotNull("code"))
	const spelled = `(code <> "ab" and not (code in ("ab", "c")) and code = `
	if got := s.Spelled(e).String(); !strings.HasPrefix(got, spelled) {
		t.Errorf("%s becomes %s", e, got)
	}
	if !strings.Contains(e.String(), `"AB"`) {
		t.Error("the filter itself was modified")
	}
}
