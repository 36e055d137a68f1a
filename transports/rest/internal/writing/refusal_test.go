package writing

import (
	"strings"
	"testing"

	"github.com/binderyhq/bindery/core/driver"
)

// The detail says what is wrong with the first fields, however many there are and however
// long the client has made their names.
func TestDetailNamesFields(t *testing.T) {
	wrong := func(names ...string) (fields []driver.FieldError) {
		for _, name := range names {
			fields = append(fields, driver.FieldError{Field: name, Detail: "is wrong"})
		}
		return fields
	}
	for _, c := range []struct {
		fields []driver.FieldError
		want   string
	}{
		{wrong("a"), `"a" is wrong`},
		{wrong("a", "b", "c"), `"a" is wrong; "b" is wrong; "c" is wrong`},
		{wrong("a", "b", "c", "d", "e"), `"a" is wrong; "b" is wrong; "c" is wrong; and 2 more`},
		{wrong(strings.Repeat("é", 100)), `"` + strings.Repeat("é", maxName) + `…" is wrong`},
		{append(wrong("a"), driver.FieldError{Detail: "the row is wrong"}), "the row is wrong"},
	} {
		p := unacceptable(&driver.InvalidError{Fields: c.fields})
		if p.Detail != c.want {
			t.Errorf("%q, want %q", p.Detail, c.want)
		}
	}
}
