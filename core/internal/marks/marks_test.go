package marks_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/internal/marks"
)

func drawn(t *rapid.T) marks.Mark {
	var m marks.Mark
	copy(m.Node[:], rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "node"))
	m.Number = rapid.Uint64().Draw(t, "number")
	for range rapid.IntRange(0, 3).Draw(t, "parts") {
		m.Parts = append(m.Parts, marks.Part{
			Kind: rapid.StringMatching(`[a-z]{1,16}`).Draw(t, "kind"),
			Data: rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, "data"),
		})
	}
	return m
}

// What was encoded is decoded, and the text fits into a header and a URL.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawn(t)
		text, omitted := m.Text()
		if omitted != 0 {
			t.Fatalf("%d parts were omitted", omitted)
		}
		if len(text) > marks.MaxLength || strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			t.Fatalf("text %q", text)
		}
		back, err := marks.Parse(text)
		if err != nil || !reflect.DeepEqual(m, back) {
			t.Fatalf("%+v came back as %+v, %v", m, back, err)
		}
	})
}

// A mark in which one character is another, or that was cut, is malformed: it must
// not be taken for another point in time.
func TestDamage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, _ := drawn(t).Text()
		at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
		other := rapid.StringMatching(`[A-Za-z0-9_ =-]`).Draw(t, "other")
		for _, bad := range []string{text[:at], text[:at] + other + text[at+1:], text + other} {
			if _, err := marks.Parse(bad); bad != text && !errors.Is(err, marks.ErrMalformed) {
				t.Fatalf("%q (of %q): %v", bad, text, err)
			}
		}
	})
}

// Parts that do not fit are left out; those that fit stay.
func TestTooMuch(t *testing.T) {
	m := marks.Mark{Number: 1<<64 - 1, Parts: []marks.Part{
		{Kind: "a", Data: bytes.Repeat([]byte{1}, 100)},
		{Kind: "b", Data: bytes.Repeat([]byte{2}, 100)},
		{Kind: "c", Data: []byte{3}},
		{Kind: "", Data: []byte{4}},
		{Kind: strings.Repeat("k", marks.MaxKind+1)},
	}}
	text, omitted := m.Text()
	back, err := marks.Parse(text)
	if err != nil || omitted != 3 || len(text) > marks.MaxLength {
		t.Fatalf("%d omitted, %d characters, %v", omitted, len(text), err)
	}
	if len(back.Of("a")) != 1 || len(back.Of("b")) != 0 || len(back.Of("c")) != 1 {
		t.Errorf("parts: %v", back.Parts)
	}
}

func FuzzParse(f *testing.F) {
	for _, m := range []marks.Mark{{}, {Number: 300, Parts: []marks.Part{{Kind: "pg", Data: []byte{1, 2}}, {Kind: "nats"}}}} {
		text, _ := m.Text()
		f.Add(text)
	}
	f.Add("")
	f.Add(strings.Repeat("A", marks.MaxLength+1))
	f.Fuzz(func(t *testing.T, text string) {
		m, err := marks.Parse(text)
		if err != nil {
			return
		}
		again, omitted := m.Text()
		if again != text || omitted != 0 {
			t.Errorf("%q was parsed as %+v, whose text is %q", text, m, again)
		}
	})
}
