package bunsource

import (
	"database/sql"
	sqldriver "database/sql/driver"
	"encoding/json"
	"net"
	"reflect"
	"strings"
	"time"

	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/schema"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

// columnFacts is what the database says about a column.
type columnFacts struct {
	// SQLType is the type: as declared in SQLite, as format_type has it in
	// Postgres (a domain's base type), as COLUMN_TYPE in MySQL.
	SQLType string
	// Collation is the name of the column's collation, "" for none.
	Collation string
	// Deterministic says that the collation finds no two different texts equal.
	Deterministic bool
	// FoldsASCII says that lower() is known to change the letters of ASCII alone.
	FoldsASCII bool
	// Mixed says that SQLite holds values of another storage class than the type
	// asks for.
	Mixed bool
	// Known says that the above was learned from the database; before, all is
	// empty.
	Known bool
}

// columnTraits returns the kind of a column's values, and which comparisons Go
// makes as the database does. What is not certain counts as different: the
// database is then asked, which costs a query and is never wrong. Certain is:
//
//   - the Go type keeps what the database has. An int32 truncates the integers
//     of SQLite, a uint wraps negative ones, a float64 rounds decimals, a
//     Scanner of one's own may do anything;
//   - the database compares as package value does. Text is equal under a
//     deterministic collation, and in order only under one that compares bytes;
//   - the literals of [model.where] reach the database unaltered.
//
// In SQLite, only STRICT tables keep values of other storage classes out. Of
// others, a column that holds such values when the loader is prepared is not
// exact: Go and SQLite read a text in a column of numbers differently.
func columnTraits(d dialect.Name, f *schema.Field, db columnFacts) (value.Kind, filter.Exactness) {
	sqlType := db.SQLType
	if !db.Known {
		sqlType, _ = f.Tag.Option("type")
		if sqlType == "" && f.IndirectType.Kind() != reflect.Struct { // of structs Bun only guesses
			sqlType = f.DiscoveredSQLType
		}
	}
	kind := columnKind(d, f, baseType(sqlType))
	codec := codecOf(f.StructField.Type)
	if !db.Known || kind == value.KindOpaque || codec == codecCustom {
		return kind, 0
	}
	c := exactColumn{kind: kind, typ: payload(f.StructField.Type), checked: codec == codecChecked, facts: db, base: baseType(db.SQLType)}
	switch d {
	case dialect.SQLite:
		return kind, c.sqlite()
	case dialect.PG:
		return kind, c.postgres()
	case dialect.MySQL:
		return kind, c.mysql()
	default:
		return kind, 0
	}
}

// exactColumn decides on one column.
type exactColumn struct {
	kind value.Kind
	// typ is the Go type of the values, without pointers and Null wrappers.
	typ reflect.Type
	// checked says that a number that typ cannot hold is an error when it is
	// read. Bun's own reading truncates.
	checked bool
	facts   columnFacts
	base    string
}

func (c *exactColumn) sqlite() filter.Exactness {
	if c.facts.Mixed {
		return 0
	}
	exact := false
	switch affinity := sqliteAffinity(c.facts.SQLType); c.kind {
	case value.KindBool:
		exact = affinity == affinityInteger || affinity == affinityNumeric
	case value.KindInt:
		exact = affinity == affinityInteger && c.holdsInt(64)
	case value.KindFloat:
		exact = affinity == affinityReal && c.typ.Kind() == reflect.Float64
	case value.KindText:
		exact = affinity == affinityText && keepsText(c.typ) && strings.EqualFold(c.facts.Collation, "BINARY")
		if exact && c.facts.FoldsASCII {
			return filter.Exact | filter.ExactFold
		}
	case value.KindBytes:
		exact = affinity == affinityBlob && c.facts.SQLType != ""
	}
	// Decimals are floats in SQLite, or texts; times are texts.
	return exactIf(exact)
}

// keepsText reports whether a Go type shows a text as it is stored. A uuid type
// does not: it shows a text in upper case as one in lower case.
func keepsText(t reflect.Type) bool {
	return t.Kind() == reflect.String || t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8
}

// pgIntegers and the like are type names without modifiers.
var (
	pgIntegers = map[string]bool{"smallint": true, "integer": true, "bigint": true}
	pgNumbers  = map[string]bool{
		"smallint": true, "integer": true, "bigint": true, "numeric": true, "real": true, "double precision": true, "oid": true,
	}
	pgIntegerBits = map[string]int{"smallint": 16, "integer": 32, "bigint": 64}
	// pgByteOrders are the collations that compare the bytes of UTF-8.
	pgByteOrders = map[string]bool{"C": true, "POSIX": true, "ucs_basic": true, "pg_c_utf8": true}
	// pgCLocales are those of them that know no letters but ASCII's.
	pgCLocales = map[string]bool{"C": true, "POSIX": true}
)

func (c *exactColumn) postgres() filter.Exactness {
	exact := false
	switch c.kind {
	case value.KindBool:
		exact = c.base == "boolean"
	case value.KindInt:
		exact = pgIntegers[c.base] && c.holdsInt(pgIntegerBits[c.base])
	case value.KindFloat:
		exact = c.typ.Kind() != reflect.String && c.base == "real" || c.base == "double precision" && c.typ.Kind() == reflect.Float64
	case value.KindDecimal:
		exact = c.base == "numeric" && (c.typ.Kind() == reflect.String || isNamed(c.typ, decimalTypes))
	case value.KindText:
		switch c.base {
		case "uuid":
			exact = true
		case "text", "character varying":
			if !c.facts.Deterministic {
				return 0
			}
			if !pgByteOrders[c.facts.Collation] {
				return filter.ExactEqual
			}
			if pgCLocales[c.facts.Collation] {
				return filter.Exact | filter.ExactFold
			}
			exact = true
		}
	case value.KindBytes:
		exact = c.base == "bytea"
	case value.KindTime:
		exact = c.typ == timeType && (c.base == "timestamp with time zone" || c.base == "timestamp without time zone" || c.base == "date")
	}
	return exactIf(exact)
}

// mysqlIntegerBits are the sizes of MySQL's integers.
var mysqlIntegerBits = map[string]int{"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}

// mysql is certain of integers only: what its texts compare as, and its times
// read as, depends on settings of server and connection.
func (c *exactColumn) mysql() filter.Exactness {
	base, unsigned := strings.CutSuffix(c.base, " unsigned")
	bits, integer := mysqlIntegerBits[base]
	exact := false
	switch {
	case !integer:
	case c.kind == value.KindBool:
		exact = true
	case unsigned:
		switch c.typ.Kind() {
		case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
			exact = c.typ.Bits() >= bits
		}
	case c.kind == value.KindInt:
		exact = c.holdsInt(bits)
	}
	return exactIf(exact)
}

func exactIf(exact bool) filter.Exactness {
	if exact {
		return filter.Exact
	}
	return 0
}

// holdsInt reports whether the Go type holds every signed integer of the size,
// or makes it an error to read one that it does not hold.
func (c *exactColumn) holdsInt(bits int) bool {
	switch c.typ.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return c.checked || c.typ.Bits() >= bits
	case reflect.Uint8: // sql.NullByte
		return c.checked
	default:
		return false
	}
}

// codec says how a Go type is read from the database.
type codec uint8

const (
	codecPlain   codec = iota // by Bun, as it is
	codecChecked              // by database/sql, which checks ranges
	codecCustom               // by code of its own
)

var (
	scannerType       = reflect.TypeFor[sql.Scanner]()
	queryAppenderType = reflect.TypeFor[schema.QueryAppender]()

	// plainTypes have code of their own that is known to keep values.
	plainTypes = map[string]bool{
		"github.com/google/uuid.UUID": true, "github.com/google/uuid.NullUUID": true,
		"github.com/gofrs/uuid.UUID": true, "github.com/gofrs/uuid/v5.UUID": true,
		"github.com/shopspring/decimal.Decimal": true, "github.com/shopspring/decimal.NullDecimal": true,
	}
	decimalTypes = map[string]bool{
		"github.com/shopspring/decimal.Decimal": true, "github.com/shopspring/decimal.NullDecimal": true,
	}
)

func isNamed(t reflect.Type, names map[string]bool) bool { return names[t.PkgPath()+"."+t.Name()] }

func codecOf(t reflect.Type) codec {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == timeType || t == nullTimeType || isNamed(t, plainTypes) {
		return codecPlain
	}
	if isSQLNull(t) {
		if inner := codecOf(t.Field(0).Type); inner == codecCustom {
			return codecCustom
		}
		return codecChecked
	}
	for _, t := range []reflect.Type{t, reflect.PointerTo(t)} {
		if t.Implements(valuerType) || t.Implements(scannerType) || t.Implements(queryAppenderType) {
			return codecCustom
		}
	}
	return codecPlain
}

// isSQLNull reports whether the type is sql.Null or one of its elders, whose
// first field is the value.
func isSQLNull(t reflect.Type) bool {
	return t.PkgPath() == "database/sql" && t.Kind() == reflect.Struct && strings.HasPrefix(t.Name(), "Null")
}

// payload returns the type without pointers and without what makes it nullable.
func payload(t reflect.Type) reflect.Type {
	for {
		switch {
		case t.Kind() == reflect.Pointer:
			t = t.Elem()
		case t == nullTimeType:
			return timeType
		case isSQLNull(t):
			t = t.Field(0).Type
		default:
			return t
		}
	}
}

// opaqueTags are the options of Bun's tags that store a field in a form of its
// own.
var opaqueTags = []string{"array", "hstore", "composite", "multirange", "msgpack", "json_use_number"}

// columnKind returns the kind that suits both the Go type and the type in the
// database, of which the latter may be unknown.
func columnKind(d dialect.Name, f *schema.Field, base string) value.Kind {
	for _, tag := range opaqueTags {
		if f.Tag.HasOption(tag) {
			return value.KindOpaque
		}
	}
	typ := payload(f.StructField.Type)
	switch typ {
	case reflect.TypeFor[json.RawMessage](), reflect.TypeFor[net.IP](), reflect.TypeFor[net.IPNet]():
		return value.KindOpaque
	}
	stored := storedKind(d, base)
	natural, ok := naturalKind(typ)
	if !ok {
		natural = stored // of a type that is NULL when it is zero
		if stored == value.KindNull {
			natural = value.KindText
		}
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
	case typ.Implements(valuerType), reflect.PointerTo(typ).Implements(valuerType):
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

// storedKind returns the kind of a type of the database, or KindNull if a text
// in Go is rightly a text.
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
		case "date", "datetime", "timestamp": // which drivers read as times, and so spell anew
			return value.KindTime
		}
	}
	switch {
	case strings.HasSuffix(base, "[]"):
		return value.KindOpaque
	case d == dialect.SQLite && base != "" && sqliteAffinity(base) == affinityText:
		return value.KindText
	}
	return value.KindNull
}

// baseType returns a type's name in lower case and without modifiers: the
// length of a varchar, the digits of a numeric, the precision of a timestamp.
func baseType(sqlType string) string {
	t := strings.ToLower(strings.TrimSpace(sqlType))
	if open := strings.IndexByte(t, '('); open >= 0 {
		if length := strings.IndexByte(t[open:], ')'); length >= 0 {
			t = strings.TrimSpace(t[:open]) + t[open+length+1:]
		}
	}
	return t
}
