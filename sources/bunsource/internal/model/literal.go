package model

import (
	"encoding"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"time"

	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/schema"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/bunsource/internal/exact"
)

// Messages for clients whose argument the database would refuse.
const (
	ArgumentForm  = "must be a value of the column's type"
	ArgumentRange = "is out of the range of the column's type"
)

// describeLiterals says how the column reads the values that clients compare it
// with, and which of them its type in the database refuses.
func (m *Model) describeLiterals(i int) {
	c, pub := &m.Columns[i], &m.Schema.Columns[i]
	pub.Parse, pub.Check, pub.Asked = nil, nil, false
	postgres := m.DB.Dialect().Name() == dialect.PG
	declared := ""
	if postgres {
		declared = c.Facts.SQLType
	}
	own := textParser(c.Field, pub.Kind)
	switch asStored := literalParser(m.DB.Dialect().Name(), declared, pub.Kind); {
	case own == nil:
		pub.Parse = asStored
	case declared == "uuid" && exact.IsNamed(exact.Payload(c.Field.StructField.Type), exact.UUIDTypes):
		pub.Parse = func(text string) (value.Value, error) { // they read fewer spellings than Postgres, and others
			if v, err := asStored(text); err == nil {
				return v, nil
			}
			return own(text)
		}
	default:
		pub.Parse = own
	}
	switch {
	case !postgres:
	case !c.Facts.Known: // only the table's description tells
		pub.Asked = pub.Kind != value.KindOpaque
	default:
		pub.Check, pub.Asked = postgresCheck(declared)
	}
}

// textParser returns a function that reads text as the field's own type does, nil if
// the type has no such method. The value is the one that a row with the field has.
func textParser(f *schema.Field, kind value.Kind) func(string) (value.Value, error) {
	typ := f.StructField.Type
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch typ {
	case exact.TimeType, exact.NullTimeType:
		return nil // their RFC 3339 is ours
	}
	read, own := textReader(typ)
	if read == nil || kind == value.KindOpaque {
		return nil
	}
	leaf := leafReader(typ, kind)
	return func(text string) (val value.Value, err error) {
		defer func() {
			if recover() != nil { // the type's method may panic over a client's text
				err = driver.Invalid("", ArgumentForm)
			}
		}()
		v := reflect.New(typ)
		switch err := read(v.Interface(), text); {
		case err != nil && own:
			return value.Value{}, err
		case err != nil && kind == value.KindTime:
			return parseTime(text)
		case err != nil: // rows may show it as something else than text
			return value.Parse(kind, text)
		}
		if val = leaf(v.Elem()); val.Kind() != kind {
			return value.Value{}, driver.Invalid("", ArgumentForm)
		}
		return val, nil
	}
}

// textReader returns a function that reads a type's text as rows show it: by
// UnmarshalText, or by UnmarshalJSON, first as a string, else as a number or the like.
// It is nil for types that have neither. own says that text is the type's own form.
func textReader(typ reflect.Type) (read func(into any, text string) error, own bool) {
	switch ptr := reflect.PointerTo(typ); {
	case ptr.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return func(into any, text string) error { return into.(encoding.TextUnmarshaler).UnmarshalText([]byte(text)) }, true
	case ptr.Implements(reflect.TypeFor[json.Unmarshaler]()):
		return func(into any, text string) error {
			quoted, err := json.Marshal(text)
			if err == nil {
				err = into.(json.Unmarshaler).UnmarshalJSON(quoted)
			}
			if err != nil && json.Valid([]byte(text)) {
				err = into.(json.Unmarshaler).UnmarshalJSON([]byte(text))
			}
			return err
		}, false
	}
	return nil, false
}

// ParseUUID reads a uuid as Postgres does, and spells it as Postgres does: in
// lower case, with or without braces, and with hyphens after any group of four
// digits.
func ParseUUID(text string) (value.Value, error) {
	digits := text
	if inner, ok := strings.CutPrefix(digits, "{"); ok {
		if digits, ok = strings.CutSuffix(inner, "}"); !ok {
			return value.Value{}, driver.Invalid("", ArgumentForm)
		}
	}
	var out []byte
	sinceHyphen := 0
	for _, c := range []byte(strings.ToLower(digits)) {
		switch {
		case c == '-' && sinceHyphen > 0 && sinceHyphen%4 == 0:
			sinceHyphen = 0
			continue
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f':
		default:
			return value.Value{}, driver.Invalid("", ArgumentForm)
		}
		switch len(out) {
		case 8, 13, 18, 23:
			out = append(out, '-')
		}
		out = append(out, c)
		sinceHyphen++
	}
	if len(out) != 36 || sinceHyphen == 0 {
		return value.Value{}, driver.Invalid("", ArgumentForm)
	}
	return value.Text(string(out)), nil
}

// postgresCheck returns a check for values that a Postgres type refuses, as far as Go
// knows; asked says that only Postgres can tell.
func postgresCheck(declared string) (check func(value.Value) string, asked bool) {
	name, _, _ := strings.Cut(declared, "(")
	name = strings.TrimSpace(name)
	between := func(lowest, highest int64) func(value.Value) string {
		return func(v value.Value) string {
			if n, ok := v.Any().(int64); ok && (n < lowest || n > highest) {
				return ArgumentRange
			}
			return ""
		}
	}
	switch name {
	case "smallint":
		return between(math.MinInt16, math.MaxInt16), false
	case "integer":
		return between(math.MinInt32, math.MaxInt32), false
	case "real":
		return func(v value.Value) string {
			if f, ok := v.Any().(float64); ok && math.Abs(f) > math.MaxFloat32 {
				return ArgumentRange
			}
			return ""
		}, false
	case "date", "timestamp", "timestamp with time zone", "timestamp without time zone":
		return checkYear, false
	case "", "text", "character varying", "character", "bigint", "numeric", "double precision", "boolean", "bytea", "uuid", "citext", "name":
		return nil, false
	}
	return nil, true
}

// checkYear refuses the year 0 and those before it, which Postgres spells
// otherwise than RFC 3339.
func checkYear(v value.Value) string {
	if t, ok := v.Any().(time.Time); ok && t.Year() < 1 {
		return ArgumentRange
	}
	return ""
}

// RefusedAsKnown says why column i refuses a value that was parsed before the
// column's type was known; "" if it does not. A type of the program's own has parsed
// the value by itself.
func (m *Model) RefusedAsKnown(i int, v value.Value) string {
	c := &m.Schema.Columns[i]
	var err error
	switch own := textParser(m.Columns[i].Field, c.Kind) != nil; {
	case c.Parse != nil && !own:
		v, err = c.Parse(v.String())
	default:
		v, err = c.Convert(v)
	}
	switch {
	case err != nil || v.Kind() != c.Kind:
		return ArgumentForm
	case c.Check != nil:
		return c.Check(v)
	}
	return ""
}
