package exact

import (
	sqldriver "database/sql/driver"
	"encoding/json"
	"net"
	"reflect"
	"strings"
	"time"

	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/schema"

	"github.com/binderyhq/bindery/core/value"
)

// opaqueTags are the options of Bun's tags that store a field in a form of its
// own.
var opaqueTags = []string{"array", "hstore", "composite", "multirange", "msgpack", "json_use_number"}

// columnKind returns the kind that suits both the Go type and the type in the
// database. base is "" if the latter is unknown.
func columnKind(d dialect.Name, f *schema.Field, base string) value.Kind {
	for _, tag := range opaqueTags {
		if f.Tag.HasOption(tag) {
			return value.KindOpaque
		}
	}
	typ := Payload(f.StructField.Type)
	switch typ {
	case reflect.TypeFor[json.RawMessage](), reflect.TypeFor[net.IP](), reflect.TypeFor[net.IPNet]():
		return value.KindOpaque
	}
	stored := storedKind(d, base)
	natural, ok := naturalKind(typ)
	if !ok {
		natural = stored // the type's zero is NULL
		if stored == value.KindNull {
			natural = value.KindText
		}
	}
	if d == dialect.SQLite && stored == value.KindBytes && (typ.Kind() == reflect.String || IsNamed(typ, UUIDTypes)) {
		return value.KindText // as rows show it, though it may be stored as bytes
	}
	// A text in Go may be the text of something else.
	textual := natural == value.KindText || natural == value.KindBytes
	if textual && stored != value.KindNull {
		return stored
	}
	return natural
}

// naturalKind returns the kind of a Go type's values; false if the zero value
// does not tell.
func naturalKind(typ reflect.Type) (value.Kind, bool) {
	switch {
	case typ == reflect.TypeFor[time.Time]():
		return value.KindTime, true
	case typ.Kind() == reflect.Interface:
		return value.KindOpaque, true
	case typ.Implements(ValuerType), reflect.PointerTo(typ).Implements(ValuerType):
		zero := reflect.New(typ)
		v, err := value.Of(zero.Interface().(sqldriver.Valuer))
		return v.Kind(), err == nil && !v.IsNull()
	}
	switch typ.Kind() {
	case reflect.Uint, reflect.Uint64, reflect.Uintptr:
		return value.KindDecimal, true // beyond int64 when large
	case reflect.Slice:
		if typ.Elem().Kind() == reflect.Uint8 {
			return value.KindBytes, true // a nil slice is NULL
		}
		return value.KindOpaque, true
	}
	v, err := value.Of(reflect.Zero(typ).Interface())
	if err != nil || v.IsNull() {
		return value.KindOpaque, true
	}
	return v.Kind(), true
}

// storedKind returns the kind of a database type, or KindNull if a Go text for it is
// a text.
func storedKind(d dialect.Name, base string) value.Kind {
	switch base {
	case "json", "jsonb", "hstore", "xml", "tsvector":
		return value.KindOpaque
	case "bytea", "blob", "binary", "varbinary", "tinyblob", "mediumblob", "longblob":
		return value.KindBytes
	case "numeric", "decimal", "dec":
		return value.KindDecimal
	case "text", "character varying", "varchar", "char", "character", "clob", "tinytext", "mediumtext", "longtext":
		return value.KindText
	}
	if d == dialect.PG {
		switch base {
		case "smallint", "integer", "bigint":
			return value.KindInt
		case "real", "double precision":
			return value.KindFloat
		case "date", "timestamp with time zone", "timestamp without time zone":
			return value.KindTime
		}
	}
	if d == dialect.SQLite {
		switch base {
		case "date", "datetime", "timestamp": // drivers read them as times, and spell them anew
			return value.KindTime
		}
	}
	switch {
	case strings.HasSuffix(base, "[]"):
		return value.KindOpaque
	case d == dialect.SQLite && base != "" && SQLiteAffinity(base) == AffinityText:
		return value.KindText
	}
	return value.KindNull
}

// BaseType returns a type's name in lower case and without modifiers: the
// length of a varchar, the digits of a numeric, the precision of a timestamp.
func BaseType(sqlType string) string {
	t := strings.ToLower(strings.TrimSpace(sqlType))
	if open := strings.IndexByte(t, '('); open >= 0 {
		if length := strings.IndexByte(t[open:], ')'); length >= 0 {
			t = strings.TrimSpace(t[:open]) + t[open+length+1:]
		}
	}
	return t
}
