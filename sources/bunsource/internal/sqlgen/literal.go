package sqlgen

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/bunsource/internal/exact"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
)

// literal is a value as SQL, to be compared with a column.
type literal struct {
	query string
	args  []any
	// operand is what to compare with the literal, %s being the column; ""
	// is the column itself.
	operand string
	// beyond is -1 or +1 if the value is less or greater than every value that
	// the column can hold. query is then empty.
	beyond int
	// between says that the column can hold values less and greater than this
	// one, but not this one. query is then the greatest one that is less.
	between bool
}

// literalFor writes a value of the column's kind for a comparison with it.
func literalFor(d dialect.Name, c whereColumn, v value.Value) literal {
	switch v.Kind() {
	case value.KindInt:
		return intLiteral(d, c, v.Any().(int64))
	case value.KindFloat:
		return floatLiteral(d, c, v)
	case value.KindDecimal:
		return decimalLiteral(d, c, v)
	case value.KindText, value.KindOpaque:
		return stringLiteral(d, c, v.Any().(string))
	case value.KindTime:
		return timeLiteral(d, c, v.Any().(time.Time))
	default:
		return literal{query: "?", args: []any{v.Any()}}
	}
}

func intLiteral(d dialect.Name, c whereColumn, i int64) literal {
	s := strconv.FormatInt(i, 10)
	if d == dialect.PG {
		switch typ := exact.BaseType(c.sqlType); {
		case i == math.MinInt64 && (typ == "" || exact.PGIntegers[typ]):
			// The digits without the minus exceed a bigint, so Postgres would
			// compare numerics, and use no index.
			return literal{query: "bigint '" + s + "'"}
		case typ != "" && !exact.PGNumbers[typ]:
			return literal{query: "'" + s + "'"} // of the column's own type
		}
	}
	return literal{query: s}
}

func floatLiteral(d dialect.Name, c whereColumn, v value.Value) literal {
	f := v.Any().(float64)
	special := math.IsNaN(f) || math.IsInf(f, 0)
	switch d {
	case dialect.PG:
		if exact.BaseType(c.sqlType) == "numeric" {
			return literal{query: "numeric '" + v.String() + "'"} // so that an index is used
		}
		return literal{query: "float8 '" + v.String() + "'"}
	case dialect.SQLite:
		if !special {
			return literal{query: SQLiteFloat(f)}
		}
	default:
		if !special {
			return literal{query: strconv.FormatFloat(f, 'e', -1, 64)}
		}
	}
	return specialNumber(d, f)
}

// specialNumber writes an infinity if the database has them. Only Postgres has NaN,
// which is greater than every other number.
func specialNumber(d dialect.Name, f float64) literal {
	switch {
	case math.IsNaN(f):
		return literal{beyond: 1}
	case d == dialect.SQLite && f > 0:
		return literal{query: "9e999"} // too large for a float, so infinity
	case d == dialect.SQLite:
		return literal{query: "-9e999"}
	case f > 0:
		return literal{beyond: 1}
	default:
		return literal{beyond: -1}
	}
}

// SQLiteFloat writes a finite float so that SQLite computes exactly that float. Not
// every version of SQLite reads decimals as the nearest float64. So it is written as
// an integer times or divided by powers of two, which needs no rounding.
func SQLiteFloat(f float64) string {
	if f == 0 {
		return "0.0"
	}
	const maxShift = 62 // so that a power of two is a positive int64
	frac, exp := math.Frexp(f)
	m := int64(math.Ldexp(frac, 53)) // f = m × 2^exp
	exp -= 53
	zeros := bits.TrailingZeros64(uint64(m))
	m, exp = m>>zeros, exp+zeros // m is odd
	if size := bits.Len64(uint64(max(m, -m))); exp >= 0 && size+exp <= maxShift {
		return fmt.Sprintf("CAST(%d AS REAL)", m<<exp)
	}
	op := " * "
	if exp < 0 {
		op, exp = " / ", -exp
	}
	var b strings.Builder
	fmt.Fprintf(&b, "(%d", m)
	for ; exp > 0; exp -= maxShift {
		fmt.Fprintf(&b, "%sCAST(%d AS REAL)", op, int64(1)<<min(exp, maxShift))
	}
	b.WriteByte(')')
	return b.String()
}

func decimalLiteral(d dialect.Name, c whereColumn, v value.Value) literal {
	s := v.String()
	var l literal
	switch {
	case s[len(s)-1] >= '0' && s[len(s)-1] <= '9':
		l.query = s
	case d == dialect.PG:
		return literal{query: "numeric '" + s + "'"}
	default:
		f, _ := strconv.ParseFloat(s, 64) // NaN or an infinity
		l = specialNumber(d, f)
	}
	if d == dialect.SQLite && c.sqlType != "" {
		switch exact.SQLiteAffinity(c.sqlType) {
		case exact.AffinityText, exact.AffinityBlob:
			l.operand = "CAST(%s AS NUMERIC)" // so that 1.50 equals 1.5
		}
	}
	return l
}

// stringLiteral writes a text exactly. Bun refuses NUL and replaces invalid UTF-8, so
// such texts are compared as hexadecimal.
func stringLiteral(d dialect.Name, c whereColumn, s string) literal {
	s = arrayText(s, c.sqlType)
	plain := utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
	if d == dialect.PG && exact.BaseType(c.sqlType) == "uuid" {
		if model.IsCanonicalUUID(s) {
			return literal{query: "uuid ?", args: []any{s}}
		}
		// No uuid reads as this text. Among the texts of uuids it has a place.
		l := literal{operand: `%s::text COLLATE "C"`, query: "?", args: []any{s}, between: true}
		if !plain {
			l.operand, l.args = "convert_to(%s::text, 'UTF8')", []any{[]byte(s)}
		}
		return l
	}
	if storesTextsAsBlobs(d, c.sqlType) {
		return literal{operand: "CAST(%s AS TEXT)", query: "CAST(? AS TEXT)", args: []any{[]byte(s)}}
	}
	if plain {
		return literal{query: "?", args: []any{s}}
	}
	switch d {
	case dialect.SQLite:
		return literal{query: "CAST(? AS TEXT)", args: []any{[]byte(s)}}
	case dialect.PG:
		return literal{operand: "convert_to(%s, 'UTF8')", query: "?", args: []any{[]byte(s)}}
	case dialect.MySQL:
		return literal{operand: "CAST(CONVERT(%s USING utf8mb4) AS BINARY)", query: "?", args: []any{[]byte(s)}}
	default:
		return literal{query: "?", args: []any{s}} // Bun's error is right
	}
}

// The limits of Postgres's types. Literals beyond them are errors.
var (
	pgFirstTime  = time.Date(-4713, 11, 24, 0, 0, 0, 0, time.UTC)
	pgTimesEnd   = time.Date(294277, 1, 1, 0, 0, 0, 0, time.UTC)
	pgDatesEnd   = time.Date(5874898, 1, 1, 0, 0, 0, 0, time.UTC)
	pgResolution = time.Microsecond
)

func timeLiteral(d dialect.Name, c whereColumn, t time.Time) literal {
	if d != dialect.PG {
		return literal{query: "?", args: []any{t}}
	}
	typ := exact.BaseType(c.sqlType)
	end := pgTimesEnd
	floor := t.Add(-time.Duration(t.Nanosecond()) % pgResolution)
	form := "2006-01-02 15:04:05.999999"
	if typ == "date" {
		end = pgDatesEnd
		floor = time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
		form = time.DateOnly
	}
	switch {
	case t.Before(pgFirstTime):
		return literal{beyond: -1}
	case !t.Before(end):
		return literal{beyond: 1}
	}
	text, era := floor, ""
	if year := floor.Year(); year <= 0 { // 1 BC is followed by 1 AD
		text = time.Date(1-year, floor.Month(), floor.Day(), floor.Hour(), floor.Minute(), floor.Second(), floor.Nanosecond(), time.UTC)
		era = " BC"
	}
	l := literal{between: !floor.Equal(t)}
	switch typ {
	case "date":
		l.query = "date '" + text.Format(form) + era + "'"
	case "timestamp without time zone":
		l.query = "timestamp '" + text.Format(form) + era + "'"
	default:
		// Untyped, and so of the column's type, whatever that is. A column
		// without zone ignores the zone: it is taken to hold UTC.
		l.query = "'" + text.Format(form) + "+00:00" + era + "'"
	}
	return l
}
