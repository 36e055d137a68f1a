package exact

import (
	"reflect"
	"strings"

	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/schema"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

// Facts holds the database's answers about a column.
type Facts struct {
	// SQLType is the type: as declared in SQLite, as format_type has it in
	// Postgres (a domain's base type), as COLUMN_TYPE in MySQL.
	SQLType string
	// Collation is the name of the column's collation, "" for none.
	Collation string
	// Deterministic says that under the collation different texts are never equal.
	Deterministic bool
	// FoldsASCII says that lower() changes only the letters of ASCII.
	FoldsASCII bool
	// Mixed says that SQLite holds values of another storage class than the type
	// asks for.
	Mixed bool
	// Known says that the database was asked. The other fields are empty before.
	Known bool
}

// Traits returns the kind of a column's values, and which comparisons Go
// makes as the database does. A comparison that is not certain to be the
// same counts as different: the database is then asked, which costs a query and is
// never wrong. It is certain when:
//
//   - the Go type keeps what the database has. An int32 truncates the integers
//     of SQLite, a uint wraps negative ones, a float64 rounds decimals, a
//     Scanner of one's own may do anything;
//   - the database compares as package value does. Text is equal under a
//     deterministic collation, and in order only under one that compares bytes;
//   - the literals of filters, which package sqlgen writes, reach the database unaltered.
//
// In SQLite, only STRICT tables keep values of other storage classes out. Of
// others, a column that holds such values when the loader is prepared is not
// exact: Go and SQLite read a text in a column of numbers differently.
func Traits(d dialect.Name, f *schema.Field, db Facts) (value.Kind, filter.Exactness) {
	sqlType := db.SQLType
	if !db.Known {
		sqlType, _ = f.Tag.Option("type")
		if sqlType == "" && f.IndirectType.Kind() != reflect.Struct { // for structs Bun only guesses
			sqlType = f.DiscoveredSQLType
		}
	}
	kind := columnKind(d, f, BaseType(sqlType))
	codec := codecOf(f.StructField.Type)
	if !db.Known || kind == value.KindOpaque || codec == codecCustom {
		return kind, 0
	}
	c := exactColumn{kind: kind, typ: Payload(f.StructField.Type), checked: codec == codecChecked, facts: db, base: BaseType(db.SQLType)}
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
	// checked says that reading a number that typ cannot hold is an error. Bun's own
	// reading truncates.
	checked bool
	facts   Facts
	base    string
}

func (c *exactColumn) sqlite() filter.Exactness {
	if c.facts.Mixed {
		return 0
	}
	exact := false
	switch affinity := SQLiteAffinity(c.facts.SQLType); c.kind {
	case value.KindBool:
		exact = affinity == AffinityInteger || affinity == AffinityNumeric
	case value.KindInt:
		exact = affinity == AffinityInteger && c.holdsInt(64)
	case value.KindFloat:
		exact = affinity == AffinityReal && c.typ.Kind() == reflect.Float64
	case value.KindText:
		exact = affinity == AffinityText && keepsText(c.typ) && strings.EqualFold(c.facts.Collation, "BINARY")
		if exact && c.facts.FoldsASCII {
			return filter.Exact | filter.ExactFold
		}
	case value.KindBytes:
		exact = affinity == AffinityBlob && c.facts.SQLType != ""
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
	PGIntegers = map[string]bool{"smallint": true, "integer": true, "bigint": true}
	PGNumbers  = map[string]bool{
		"smallint": true, "integer": true, "bigint": true, "numeric": true, "real": true, "double precision": true, "oid": true,
	}
	PGIntegerBits = map[string]int{"smallint": 16, "integer": 32, "bigint": 64}
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
		exact = PGIntegers[c.base] && c.holdsInt(PGIntegerBits[c.base])
	case value.KindFloat:
		exact = c.typ.Kind() != reflect.String && c.base == "real" || c.base == "double precision" && c.typ.Kind() == reflect.Float64
	case value.KindDecimal:
		exact = c.base == "numeric" && (c.typ.Kind() == reflect.String || IsNamed(c.typ, decimalTypes))
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
		exact = c.typ == TimeType && (c.base == "timestamp with time zone" || c.base == "timestamp without time zone" || c.base == "date")
	}
	return exactIf(exact)
}

// mysqlIntegerBits are the sizes of MySQL's integers.
var mysqlIntegerBits = map[string]int{"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}

// mysql is certain of integers only: how MySQL compares texts and reads times depends
// on settings of server and connection.
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

// holdsInt reports whether the Go type holds every signed integer of the size, or
// returns an error when it reads one that it cannot hold.
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
