package model

import (
	"reflect"
	"strconv"
	"strings"

	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/bunsource/internal/exact"
)

// The digits that a decimal may have so that different decimals are different
// floats, and each float's shortest text is the decimal again.
const (
	digitsOfFloat32 = 6
	digitsOfFloat64 = 15
)

// rounding returns the size in bits of the float that column i is read as, if the
// database may hold several numbers that are the same float; 0 otherwise. MySQL
// compares everything with a float as floats, so nothing need be done about it there.
func (m *Model) rounding(i int) int {
	c := &m.Columns[i]
	if m.Schema.Columns[i].Kind != value.KindFloat || !c.Facts.Known {
		return 0
	}
	bits, digits := 0, 0
	switch exact.Payload(c.Field.StructField.Type).Kind() {
	case reflect.Float32:
		bits, digits = 32, digitsOfFloat32
	case reflect.Float64:
		bits, digits = 64, digitsOfFloat64
	default:
		return 0 // a type of the program's own, which may do anything
	}
	finer := false
	switch m.DB.Dialect().Name() {
	case dialect.PG:
		switch exact.BaseType(c.Facts.SQLType) {
		case "numeric":
			most, declared := precision(c.Facts.SQLType)
			finer = !declared || most > digits
		case "integer", "double precision":
			finer = bits == 32
		case "bigint":
			finer = true
		}
	case dialect.SQLite:
		switch exact.SQLiteAffinity(c.Facts.SQLType) {
		case exact.AffinityReal, exact.AffinityBlob:
			finer = bits == 32
		default:
			finer = true // integers of 64 bits, or texts
		}
	}
	if !finer {
		return 0
	}
	return bits
}

// precision returns how many digits a numeric may have. It reports false if the type
// does not say.
func precision(sqlType string) (digits int, declared bool) {
	_, modifiers, ok := strings.Cut(sqlType, "(")
	first, _, closed := strings.Cut(modifiers, ")")
	first, _, _ = strings.Cut(first, ",")
	digits, err := strconv.Atoi(strings.TrimSpace(first))
	return digits, ok && closed && err == nil
}
