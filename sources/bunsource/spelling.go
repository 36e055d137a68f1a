package bunsource

import (
	"encoding/hex"
	"math"
	"net/netip"
	"reflect"
	"strings"

	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

// describeSpelling says how the column spells values of which the database reads
// several spellings as one, and has rows spelled so too: a driver or a type of
// the program's may write another spelling than the database.
func (m *model) describeSpelling(i int) {
	c, pub := &m.columns[i], &m.schema.Columns[i]
	pub.Canonical, pub.Ambiguous = nil, false
	if m.uuidTexts(i) {
		pub.Canonical = spellUUID // which is how the Go type shows any of its forms
		return
	}
	if m.db.Dialect().Name() != dialect.PG || !c.facts.Known {
		return
	}
	base := baseType(c.facts.SQLType)
	pub.Ambiguous = pgAmbiguous[base] || strings.HasSuffix(base, "[]")
	switch {
	case pub.Kind == value.KindText:
		pub.Canonical = pgSpellings[base]
	case pub.Kind == value.KindFloat && base == "real":
		pub.Canonical = spellReal
	}
	if pub.Canonical == nil {
		return
	}
	read, spell := c.read, pub.Canonical
	c.read = func(strct reflect.Value) value.Value { return spell(read(strct)) }
}

// pgAmbiguous are types whose texts depend on settings of the session.
var pgAmbiguous = map[string]bool{
	"interval": true, "money": true, "time with time zone": true, "point": true, "line": true, "lseg": true, "box": true,
	"path": true, "polygon": true, "circle": true, "tsrange": true, "tstzrange": true, "daterange": true,
}

// pgSpellings are types of Postgres's of which a Go text may be another spelling.
var pgSpellings = map[string]func(value.Value) value.Value{
	"uuid":                   spellUUID,
	"character":              spellPadded,
	"inet":                   spellInet,
	"time without time zone": spellClock,
}

func spellUUID(v value.Value) value.Value {
	text, ok := v.Any().(string)
	if !ok || isCanonicalUUID(text) {
		return v
	}
	if len(text) == 16 { // its bytes, as a BLOB of SQLite's has them
		text = hex.EncodeToString([]byte(text))
	}
	if u, err := parseUUID(text); err == nil {
		return u
	}
	return v
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

var uuidTypes = map[string]bool{
	"github.com/google/uuid.UUID": true, "github.com/google/uuid.NullUUID": true,
	"github.com/gofrs/uuid.UUID": true, "github.com/gofrs/uuid/v5.UUID": true,
}

// uuidTexts reports whether column i holds uuids in SQLite, which has no type for
// them: programs store texts in either case, with hyphens or without (Django), or
// the bytes. The Go type reads them all.
func (m *model) uuidTexts(i int) bool {
	return m.db.Dialect().Name() == dialect.SQLite && m.schema.Columns[i].Kind == value.KindText &&
		isNamed(payload(m.columns[i].field.StructField.Type), uuidTypes)
}

// sqliteUUIDs returns the literals for the forms in which SQLite may hold the uuid,
// nil for what is none.
func sqliteUUIDs(v value.Value) []string {
	canonical := v.String()
	if !isCanonicalUUID(canonical) {
		return nil
	}
	digits := strings.ReplaceAll(canonical, "-", "")
	forms := []string{canonical, strings.ToUpper(canonical), digits, strings.ToUpper(digits)}
	for i, form := range forms {
		forms[i] = "'" + form + "'"
	}
	return append(forms, "X'"+digits+"'")
}

// sqliteUUIDIs returns a condition on a column of uuids: it compares uuids, in
// whatever form. Equality uses an index.
func sqliteUUIDIs(op filter.Op, v value.Value) string {
	switch op {
	case filter.OpEq:
		return "{column} IN (" + strings.Join(sqliteUUIDs(v), ", ") + ")"
	case filter.OpNe:
		return "{column} NOT IN (" + strings.Join(sqliteUUIDs(v), ", ") + ")"
	}
	return "lower(CASE typeof({column}) WHEN 'blob' THEN hex({column}) ELSE replace({column}, '-', '') END) " + op.String() + " '" + strings.ReplaceAll(v.String(), "-", "") + "'"
}
