package sqlgen

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/bunsource/internal/exact"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
)

// arrayWriter writes keys for Postgres: one array per key column, sent as
// parameters. Then the text of a statement does not depend on the keys, and
// drivers that prepare every statement (pgx) prepare it once; lists of literals
// would fill their caches, and the server's memory, with statements that are
// run a single time.
type arrayWriter struct {
	m       *model.Model
	types   []string
	maxKeys int
	done    []KeyBatch

	arrays []strings.Builder // of the batch under way
	size   int
	count  int
}

// arrayTypes returns the SQL types of the key columns where arrays need them. It
// reports false if one that is needed is not known yet.
func arrayTypes(m *model.Model) ([]string, bool) {
	types := make([]string, len(m.Keys))
	for i, k := range m.Keys {
		f := m.Columns[k].Facts
		if types[i] = f.SQLType; !f.Known && len(m.Keys) > 1 {
			return nil, false
		}
	}
	return types, true
}

func (w *arrayWriter) add(key []value.Value) {
	if w.arrays == nil {
		w.arrays = make([]strings.Builder, len(key))
	}
	elems := make([]string, len(key))
	for i, v := range key {
		e, ok := arrayElement(v, w.types[i])
		if !ok {
			return
		}
		elems[i] = e
	}
	for i, e := range elems {
		if w.count > 0 {
			w.arrays[i].WriteByte(',')
		}
		w.arrays[i].WriteString(e)
		w.size += len(e) + 1
	}
	if w.count++; w.count >= w.maxKeys || w.size >= w.m.Limits.Bytes {
		w.flush()
	}
}

func (w *arrayWriter) flush() {
	if w.count == 0 {
		return
	}
	b := KeyBatch{Args: make([]any, len(w.arrays))}
	columns := make([]string, len(w.arrays))
	params := make([]string, len(w.arrays))
	for i := range w.arrays {
		b.Args[i] = "{" + w.arrays[i].String() + "}"
		columns[i] = KeyColumn(w.m, i)
		params[i] = fmt.Sprintf("$%d", i+1)
		if len(columns) > 1 { // a single array gets its type from its column
			params[i] += "::" + arrayType(w.types[i]) + "[]"
		}
	}
	if len(columns) == 1 {
		b.Cond = columns[0] + " = ANY(" + params[0] + ")"
	} else {
		b.Cond = fmt.Sprintf("(%s) IN (SELECT * FROM unnest(%s))", strings.Join(columns, ", "), strings.Join(params, ", "))
	}
	w.done = append(w.done, b)
	w.arrays, w.size, w.count = nil, 0, 0
}

func (w *arrayWriter) finish() []KeyBatch {
	w.flush()
	return w.done
}

// arrayElement writes a value as an element of an array literal. It reports
// false for a value that a column of the type cannot hold: Postgres would refuse the
// whole array because of it.
func arrayElement(v value.Value, sqlType string) (string, bool) {
	base := exact.BaseType(sqlType)
	if kind, ok := pgKinds[base]; ok {
		var err error
		if v, err = value.Convert(v, kind); err != nil {
			return "", false
		}
	}
	switch v.Kind() {
	case value.KindNull:
		return "", false // no key in Postgres holds NULL
	case value.KindInt:
		n := v.Any().(int64)
		if bits, ok := exact.PGIntegerBits[base]; ok && n>>(bits-1) != 0 && n>>(bits-1) != -1 {
			return "", false
		}
		return v.String(), true
	case value.KindFloat:
		f := v.Any().(float64)
		if base == "real" && !math.IsInf(f, 0) && math.Abs(f) > math.MaxFloat32 {
			return "", false
		}
		return quoteElement(v.String()), true
	case value.KindBool, value.KindDecimal:
		return quoteElement(v.String()), true
	case value.KindBytes:
		return quoteElement(`\x` + hex.EncodeToString(v.Any().([]byte))), true
	case value.KindTime:
		l := timeLiteral(dialect.PG, whereColumn{}, v.Any().(time.Time))
		if l.beyond != 0 || l.between {
			return "", false
		}
		return quoteElement(strings.Trim(l.query, "'")), true
	default:
		s := arrayText(v.String(), sqlType)
		if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 || base == "uuid" && !model.IsCanonicalUUID(s) {
			return "", false
		}
		return quoteElement(s), true
	}
}

// pgKinds are the kinds that elements of arrays are read as.
var pgKinds = map[string]value.Kind{
	"smallint": value.KindInt, "integer": value.KindInt, "bigint": value.KindInt,
	"real": value.KindFloat, "double precision": value.KindFloat, "numeric": value.KindDecimal,
	"boolean": value.KindBool, "bytea": value.KindBytes, "uuid": value.KindText,
	"date": value.KindTime, "timestamp with time zone": value.KindTime, "timestamp without time zone": value.KindTime,
}

// arrayType returns the type of an array's elements for a cast. It drops modifiers,
// because with them the cast would cut and round.
func arrayType(sqlType string) string {
	open, length := strings.IndexByte(sqlType, '('), strings.IndexByte(sqlType, ')')
	if open >= 0 && length > open {
		sqlType = strings.TrimSpace(sqlType[:open]) + sqlType[length+1:]
	}
	if sqlType == "character" {
		return "bpchar" // character alone means character(1)
	}
	return sqlType
}

// isArray reports whether a Postgres type is one of arrays.
func isArray(sqlType string) bool { return strings.HasSuffix(sqlType, "[]") }

// arrayText returns the array as Postgres reads it, if the column holds arrays and the
// text is JSON, which is how rows and keys show the slices of Go. It returns any other
// text as it is.
func arrayText(text, sqlType string) string {
	if !isArray(sqlType) || !strings.HasPrefix(text, "[") {
		return text
	}
	var elements []any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if d.Decode(&elements) != nil {
		return text // "[0:1]={1,2}", for one
	}
	var b strings.Builder
	writeArray(&b, elements)
	return b.String()
}

func writeArray(b *strings.Builder, elements []any) {
	b.WriteByte('{')
	for i, e := range elements {
		if i > 0 {
			b.WriteByte(',')
		}
		switch e := e.(type) {
		case nil:
			b.WriteString("NULL")
		case []any:
			writeArray(b, e)
		case string:
			b.WriteString(quoteElement(e))
		case json.Number, bool:
			fmt.Fprint(b, e)
		default:
			document, _ := json.Marshal(e) // it was read from JSON
			b.WriteString(quoteElement(string(document)))
		}
	}
	b.WriteByte('}')
}

func quoteElement(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte('"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
	return b.String()
}
