package model

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"net/netip"
	"reflect"
	"strings"

	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/bunsource/internal/exact"
)

// IsCanonicalUUID reports whether Postgres would write a uuid like this.
func IsCanonicalUUID(s string) bool {
	const form = "00000000-0000-0000-0000-000000000000"
	if len(s) != len(form) {
		return false
	}
	for i := range len(s) {
		digit := s[i] >= '0' && s[i] <= '9' || s[i] >= 'a' && s[i] <= 'f'
		if dash := form[i] == '-'; dash && s[i] != '-' || !dash && !digit {
			return false
		}
	}
	return true
}

// describeSpelling says how the column spells values that the database accepts in
// several spellings. Rows are spelled so too, because a driver or a type of the
// program's may spell values differently from the database.
func (m *Model) describeSpelling(i int) {
	c, pub := &m.Columns[i], &m.Schema.Columns[i]
	pub.Canonical, pub.Ambiguous = nil, false
	if m.UUIDTexts(i) {
		pub.Canonical = spellUUID // the Go type shows every form so
		return
	}
	if pub.Kind == value.KindFloat && exact.Payload(c.Field.StructField.Type).Kind() == reflect.Float32 {
		pub.Canonical = spellReal // rows show no other numbers
	}
	if m.DB.Dialect().Name() != dialect.PG || !c.Facts.Known {
		return
	}
	base := exact.BaseType(c.Facts.SQLType)
	pub.Ambiguous = pgAmbiguous[base] || strings.HasSuffix(base, "[]")
	switch {
	case pub.Kind == value.KindOpaque && base == "jsonb":
		pub.Canonical = spellJSON
	case pub.Kind == value.KindText:
		pub.Canonical = pgSpellings[base]
	case pub.Kind == value.KindFloat && base == "real":
		pub.Canonical = spellReal
	}
	if pub.Canonical == nil {
		return
	}
	read, spell := c.Read, pub.Canonical
	c.Read = func(strct reflect.Value) value.Value { return spell(read(strct)) }
}

// pgAmbiguous are types whose texts depend on settings of the session.
var pgAmbiguous = map[string]bool{
	"interval": true, "money": true, "time with time zone": true, "point": true, "line": true, "lseg": true, "box": true,
	"path": true, "polygon": true, "circle": true, "tsrange": true, "tstzrange": true, "daterange": true,
}

// pgSpellings has the Postgres types whose values a Go text may spell differently.
var pgSpellings = map[string]func(value.Value) value.Value{
	"uuid":                   spellUUID,
	"character":              spellPadded,
	"inet":                   spellInet,
	"time without time zone": spellClock,
}

func spellUUID(v value.Value) value.Value {
	text, ok := v.Any().(string)
	if !ok || IsCanonicalUUID(text) {
		return v
	}
	if len(text) == 16 { // its bytes, as a BLOB of SQLite's has them
		text = hex.EncodeToString([]byte(text))
	}
	if u, err := ParseUUID(text); err == nil {
		return u
	}
	return v
}

// spellJSON writes a document without blanks, with its members sorted and its numbers in
// one form. Postgres compares jsonb by what it says.
func spellJSON(v value.Value) value.Value {
	text, ok := v.Any().(string)
	if !ok {
		return v
	}
	var document any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if d.Decode(&document) != nil || d.More() {
		return v
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if e.Encode(plainNumbers(document)) != nil {
		return v
	}
	spelled, err := value.Convert(strings.TrimSuffix(out.String(), "\n"), value.KindOpaque)
	if err != nil {
		return v
	}
	return spelled
}

// plainNumbers returns the document with each number in the form of [value.Value.String].
func plainNumbers(document any) any {
	switch d := document.(type) {
	case json.Number:
		if n, err := value.Parse(value.KindDecimal, d.String()); err == nil {
			return json.Number(n.String())
		}
	case []any:
		for i := range d {
			d[i] = plainNumbers(d[i])
		}
	case map[string]any:
		for name := range d {
			d[name] = plainNumbers(d[name])
		}
	}
	return document
}

// spellReal rounds a number as a real does, so that 1.1 is the 1.1 of a row.
func spellReal(v value.Value) value.Value {
	f, ok := v.Any().(float64)
	if !ok || math.Abs(f) > math.MaxFloat32 {
		return v
	}
	return value.Float(float64(float32(f)))
}

// spellPadded leaves out the blanks that Postgres pads a char(n) with, and that
// say nothing in comparisons.
func spellPadded(v value.Value) value.Value {
	text, ok := v.Any().(string)
	if trimmed := strings.TrimRight(text, " "); ok && len(trimmed) < len(text) {
		return value.Text(trimmed)
	}
	return v
}

// spellInet leaves out the length of the prefix of a single host.
func spellInet(v value.Value) value.Value {
	text, ok := v.Any().(string)
	if !ok {
		return v
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		if p.IsSingleIP() {
			return value.Text(p.Addr().String())
		}
		return value.Text(p.String())
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return value.Text(a.String())
	}
	return v
}

// spellClock writes a time of day with seconds, and without idle digits.
func spellClock(v value.Value) value.Value {
	text, ok := v.Any().(string)
	if !ok || len(text) < len("15:04") || text[2] != ':' {
		return v
	}
	if len(text) == len("15:04") {
		return value.Text(text + ":00")
	}
	if strings.Contains(text, ".") {
		return value.Text(strings.TrimRight(strings.TrimRight(text, "0"), "."))
	}
	return v
}

// UUIDTexts reports whether column i holds uuids in SQLite, which has no type for
// them: programs store texts in either case, with hyphens or without (Django), or
// the bytes. The Go type reads them all.
func (m *Model) UUIDTexts(i int) bool {
	return m.DB.Dialect().Name() == dialect.SQLite && m.Schema.Columns[i].Kind == value.KindText &&
		exact.IsNamed(exact.Payload(m.Columns[i].Field.StructField.Type), exact.UUIDTypes)
}
