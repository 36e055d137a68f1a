package keyproof

import (
	"encoding/hex"
	"strings"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/internal/sqltext"
)

// numberLiteral reads a number. Stored decimals may be rounded by the column,
// floats by their size.
func (r *keyReader) numberLiteral(text string, k value.Kind, stored bool) (any, bool) {
	if stored && r.Dialect == sqltext.MySQL && text == "0" {
		return nil, false // 0 may ask for a generated key
	}
	switch k {
	case value.KindInt, value.KindBool:
		if strings.ContainsAny(text, ".eExXoObB_") {
			return nil, false
		}
	case value.KindDecimal:
		if strings.ContainsAny(text, "xXoObB_") || stored && strings.ContainsAny(text, ".eE") {
			return nil, false
		}
	default:
		return nil, false
	}
	return converted(text, k)
}

// stringLiteral reads a string literal as the value that the database stores for it
// in the column.
func (r *keyReader) stringLiteral(text string, c driver.Column, stored bool) (any, bool) {
	switch c.Kind {
	case value.KindInt:
		return converted(text, c.Kind)
	case value.KindText:
		switch {
		case stored && (c.Exact&filter.ExactEqual == 0 || strings.HasSuffix(text, " ")):
			// char(n) pads, varchar(n) cuts off spaces, and other types than text may
			// write the value in their own way.
			return nil, false
		case isUnusualUUID(text):
			return nil, false // a uuid column would return the usual form
		}
		return text, true
	case value.KindBytes:
		if r.Dialect == sqltext.Postgres && strings.HasPrefix(text, `\x`) {
			return decodeHex(text[2:])
		}
	case value.KindTime:
		// Only SQLite keeps a time as it is written; elsewhere the column may
		// round it, or drop its zone.
		if r.Dialect == sqltext.SQLite && strings.HasSuffix(text, "+00:00") {
			return converted(text, c.Kind)
		}
	}
	return nil, false
}

// argument reads an argument of the statement.
func (r *keyReader) argument(ordinal int, c driver.Column, stored bool) (any, bool) {
	if ordinal < 1 || ordinal > len(r.args) {
		return nil, false
	}
	arg := r.args[ordinal-1]
	if arg.Name != "" || arg.Ordinal != ordinal {
		return nil, false
	}
	v, err := value.Of(arg.Value)
	if err != nil {
		return nil, false
	}
	switch v.Kind() {
	case value.KindInt, value.KindDecimal:
		return r.numberLiteral(v.String(), c.Kind, stored)
	case value.KindText:
		return r.stringLiteral(v.String(), c, stored)
	case value.KindBool:
		return v, c.Kind == value.KindBool
	case value.KindBytes:
		return v, c.Kind == value.KindBytes
	case value.KindTime:
		t, ok := v.Any().(time.Time)
		return v, ok && c.Kind == value.KindTime && r.Dialect == sqltext.SQLite && t.Nanosecond()%1000 == 0
	default:
		return nil, false
	}
}

func converted(text string, k value.Kind) (any, bool) {
	v, err := value.Convert(text, k)
	return v, err == nil
}

func decodeHex(text string) (any, bool) {
	b, err := hex.DecodeString(text)
	return b, err == nil
}

// isUnusualUUID reports whether Postgres may accept the text as a UUID, but would
// spell it differently.
func isUnusualUUID(text string) bool {
	const digits, longest = 32, 41
	if len(text) < digits || len(text) > longest {
		return false
	}
	n, usual := 0, len(text) == 36
	for i := range len(text) {
		switch c := text[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f':
			n++
		case c >= 'A' && c <= 'F':
			n++
			usual = false
		case c == '-':
			usual = usual && (i == 8 || i == 13 || i == 18 || i == 23)
		case c == '{' || c == '}':
			usual = false
		default:
			return false
		}
	}
	return n == digits && !usual
}

// literal reads a literal or an argument as a value of a key column, if the
// database certainly reads the same value. stored says that the statement stores it
// in the column, and does not only compare it.
func (r *keyReader) literal(s sqltext.Span, c driver.Column, stored bool) (any, bool) {
	negative := !s.Empty() && r.Is(s.Lo, "-")
	if negative {
		s.Lo++
	}
	if s.Empty() {
		return nil, false
	}
	text := r.Token(s.Lo)
	kind := r.Kind(s.Lo)
	if s.Hi-s.Lo > 1 && !r.harmlessCast(span(s.Lo+1, s.Hi), kind) || negative && kind != sqltext.Number {
		return nil, false
	}
	switch kind {
	case sqltext.Number:
		if negative {
			text = "-" + text
		}
		return r.numberLiteral(text, c.Kind, stored)
	case sqltext.String:
		text = text[1 : len(text)-1]
		if strings.IndexByte(text, '\'') >= 0 {
			text = strings.ReplaceAll(text, "''", "'")
		}
		return r.stringLiteral(text, c, stored)
	case sqltext.Blob:
		if c.Kind != value.KindBytes || r.Dialect == sqltext.Postgres {
			return nil, false
		}
		return decodeHex(text[2 : len(text)-1])
	case sqltext.Bare:
		if c.Kind == value.KindBool && r.Word(s.Lo, "TRUE", "FALSE") {
			return r.Word(s.Lo, "TRUE"), true
		}
	case sqltext.Param:
		return r.argument(r.Param(s.Lo), c, stored)
	}
	return nil, false
}

// harmlessCast reports whether the tokens are a cast of Postgres that leaves a
// literal as it is.
func (r *keyReader) harmlessCast(s sqltext.Span, literal sqltext.Kind) bool {
	if !r.Is(s.Lo, "::") {
		return false
	}
	switch {
	case s.Hi-s.Lo == 2 && literal == sqltext.Number:
		return r.Word(s.Lo+1, "BIGINT", "INTEGER", "INT", "SMALLINT", "INT8", "INT4", "INT2")
	case s.Hi-s.Lo == 2 && literal == sqltext.String:
		return r.Word(s.Lo+1, "VARCHAR", "TEXT", "UUID", "BYTEA")
	case s.Hi-s.Lo == 3 && literal == sqltext.String:
		return r.Word(s.Lo+1, "CHARACTER") && r.Word(s.Lo+2, "VARYING")
	case s.Hi-s.Lo == 2 && literal == sqltext.Bare:
		return r.Word(s.Lo+1, "BOOLEAN", "BOOL")
	default:
		return false
	}
}
