package bunsource

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/binderyhq/bindery/core/value"
)

// arrayWriter writes keys for Postgres: one array per key column, sent as
// parameters. Then the text of a statement does not depend on the keys, and
// drivers that prepare every statement (pgx) prepare it once; lists of literals
// would fill their caches, and the server's memory, with statements that are
// run a single time.
type arrayWriter struct {
	m       *model
	types   []string
	maxKeys int
	done    []keyBatch

	arrays []strings.Builder // of the batch under way
	size   int
	count  int
}

// arrayTypes returns the SQL types of the key columns as far as arrays need
// them; false while they are needed and not known.
func (m *model) arrayTypes() ([]string, bool) {
	types := make([]string, len(m.keys))
	for i, k := range m.keys {
		f := m.columns[k].facts
		if types[i] = f.SQLType; !f.Known && len(m.keys) > 1 {
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
	if w.count++; w.count >= w.maxKeys || w.size > maxBatchBytes {
		w.flush()
	}
}

func (w *arrayWriter) flush() {
	if w.count == 0 {
		return
	}
	b := keyBatch{args: make([]any, len(w.arrays))}
	columns := make([]string, len(w.arrays))
	params := make([]string, len(w.arrays))
	for i := range w.arrays {
		b.args[i] = "{" + w.arrays[i].String() + "}"
		columns[i] = w.m.keyColumn(i)
		params[i] = fmt.Sprintf("$%d", i+1)
		if w.types[i] != "" {
			params[i] += "::" + w.types[i] + "[]"
		}
	}
	if len(columns) == 1 {
		b.cond = columns[0] + " = ANY(" + params[0] + ")"
	} else {
		b.cond = fmt.Sprintf("(%s) IN (SELECT * FROM unnest(%s))", strings.Join(columns, ", "), strings.Join(params, ", "))
	}
	w.done = append(w.done, b)
	w.arrays, w.size, w.count = nil, 0, 0
}

func (w *arrayWriter) finish() []keyBatch {
	w.flush()
	return w.done
}

// arrayElement writes a value as an element of an array literal. It reports
// false for what a column of the type cannot hold: Postgres refuses the whole
// array over it.
func arrayElement(v value.Value, sqlType string) (string, bool) {
	base, _, _ := strings.Cut(sqlType, "(")
	switch v.Kind() {
	case value.KindNull:
		return "", false // no key in Postgres holds NULL
	case value.KindBool:
		return v.String(), true
	case value.KindInt:
		limit := int64(math.MaxInt64)
		switch base {
		case "smallint":
			limit = math.MaxInt16
		case "integer", "oid":
			limit = math.MaxInt32
		}
		n := v.Any().(int64)
		return v.String(), n >= -limit-1 && n <= limit
	case value.KindFloat:
		f := v.Any().(float64)
		fits := base != "real" || math.IsInf(f, 0) || math.Abs(f) <= math.MaxFloat32
		return quoteElement(v.String()), fits
	case value.KindDecimal:
		return quoteElement(v.String()), true
	case value.KindBytes:
		return quoteElement(`\x` + hex.EncodeToString(v.Any().([]byte))), true
	case value.KindTime:
		t := v.Any().(time.Time)
		if t.Year() < 1 || t.Year() > 294000 {
			return "", false
		}
		return quoteElement(t.Format("2006-01-02 15:04:05.999999-07:00")), true
	default:
		s := v.String()
		if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 || base == "uuid" && !isUUID(s) {
			return "", false
		}
		return quoteElement(s), true
	}
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

// isUUID reports whether s is a uuid in its canonical form, 8-4-4-4-12.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	dashes := []int{8, 13, 18, 23}
	for i := range len(s) {
		if slices.Contains(dashes, i) {
			if s[i] != '-' {
				return false
			}
		} else if !strings.ContainsRune("0123456789abcdefABCDEF", rune(s[i])) {
			return false
		}
	}
	return true
}
