package sqlgen

import (
	"encoding/hex"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/dialect/feature"
	"github.com/uptrace/bun/schema"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/bunsource/internal/exact"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
)

// maxDisjuncts bounds the conditions joined by OR, because databases limit the depth
// of an expression (SQLite: 1000).
const maxDisjuncts = 200

// KeyBatch is a condition that selects the rows of some keys, with its arguments.
type KeyBatch struct {
	Cond string
	Args []any
}

// KeyBatches splits keys into conditions, each small enough for one statement.
// Keys that no row of the table can have (a text that is no uuid, for one) are
// left out: the database would refuse the whole statement because of them.
// The error reports a key that does not fit the table.
func KeyBatches(m *model.Model, keys []driver.Key) ([]KeyBatch, error) {
	keys = slices.Compact(slices.Sorted(slices.Values(keys)))
	w := newKeyWriter(m)
	for _, k := range keys {
		vals, err := keyValues(m, k)
		if err != nil {
			return nil, err
		}
		if vals != nil {
			w.add(vals)
		}
	}
	return w.finish(), nil
}

// RowCondition returns a condition without parameters that finds the row of one
// key, for statements that Bun writes; "" when no row of the table can have the
// key. The error reports a key that does not fit the table.
func RowCondition(m *model.Model, key driver.Key) (bun.Safe, error) {
	vals, err := keyValues(m, key)
	if err != nil || vals == nil {
		return "", err
	}
	if m.DB.Dialect().Name() == dialect.PG {
		for i, v := range vals {
			if _, ok := arrayElement(v, m.Columns[m.Keys[i]].Facts.SQLType); !ok {
				return "", nil
			}
		}
	}
	w := literalWriter{m: m, maxKeys: m.Limits.Params}
	w.add(vals)
	for _, b := range w.finish() {
		return bun.Safe("(" + b.Cond + ")"), nil
	}
	return "", nil
}

// keyValues opens a key and converts its parts to the kinds of their columns. It
// returns nil if one does not convert.
func keyValues(m *model.Model, key driver.Key) ([]value.Value, error) {
	vals, err := key.Values()
	if err != nil {
		return nil, err
	}
	if len(vals) != len(m.Keys) {
		return nil, fmt.Errorf("key %q has %d columns, the table's keys have %d", key, len(vals), len(m.Keys))
	}
	for i, v := range vals {
		if vals[i], err = m.Schema.Columns[m.Keys[i]].Convert(v); err != nil {
			return nil, nil
		}
	}
	return vals, nil
}

// keyWriter gathers keys into batches.
type keyWriter interface {
	add(key []value.Value)
	finish() []KeyBatch
}

func newKeyWriter(m *model.Model) keyWriter {
	maxKeys := m.Limits.Params / len(m.Keys)
	inArrays := !slices.ContainsFunc(m.Keys, func(i int) bool {
		return m.Columns[i].Rounds != 0 || isArray(m.Columns[i].Facts.SQLType) // an array of arrays is one array of many elements
	})
	if m.DB.Dialect().Name() == dialect.PG && inArrays {
		if types, ok := arrayTypes(m); ok {
			return &arrayWriter{m: m, types: types, maxKeys: maxKeys}
		}
	}
	return &literalWriter{m: m, maxKeys: maxKeys}
}

// literalWriter writes keys as literals, as Bun writes all values.
type literalWriter struct {
	m       *model.Model
	maxKeys int
	done    []KeyBatch
	// Of the batch under way: the keys as a list, those that need a condition
	// of their own, and their numbers.
	list        []byte
	disjuncts   []byte
	inList      int
	inDisjuncts int
}

func (w *literalWriter) add(key []value.Value) {
	for i, v := range key {
		if w.condition(i, v) != "" {
			w.addConditions(key)
			return
		}
	}
	alternatives := make([][]string, len(key))
	hasNull := false
	for i, v := range key {
		hasNull = hasNull || v.IsNull()
		if alternatives[i] = literals(w.m, w.m.Keys[i], v); alternatives[i] == nil {
			return
		}
	}
	for _, parts := range product(alternatives) {
		if hasNull || len(parts) > 1 && !w.m.DB.HasFeature(feature.CompositeIn) {
			w.addDisjunct(parts)
		} else {
			w.addToList(parts)
		}
	}
	if w.inList >= w.maxKeys || w.inDisjuncts >= maxDisjuncts || len(w.list)+len(w.disjuncts) >= w.m.Limits.Bytes {
		w.flush()
	}
}

// condition returns a condition for the i-th part of a key when the column may hold the
// value in more forms than can be listed: SQLite's times, and numbers that rows show
// rounded. It returns "" for all others.
func (w *literalWriter) condition(i int, v value.Value) string {
	column := w.m.Keys[i]
	switch sqlite := w.m.DB.Dialect().Name() == dialect.SQLite; {
	case sqlite && v.Kind() == value.KindTime:
		return sqliteTimeIs(filter.OpEq, v.Any().(time.Time))
	case w.m.Columns[column].Rounds != 0 && v.Kind() == value.KindFloat:
		return rounded{w.m.DB.Dialect().Name(), w.m.Columns[column].Facts.SQLType, w.m.Columns[column].Rounds}.is(filter.OpEq, floatOf(v))
	}
	return ""
}

// addConditions adds a key of which some part needs a condition.
func (w *literalWriter) addConditions(key []value.Value) {
	conditions := make([]string, len(key))
	for i, v := range key {
		column := KeyColumn(w.m, i)
		condition := w.condition(i, v)
		switch forms := literals(w.m, w.m.Keys[i], v); {
		case v.IsNull():
			conditions[i] = column + " IS NULL"
		case condition != "":
			conditions[i] = strings.ReplaceAll(condition, ColumnMark, column)
		case forms == nil:
			return
		default:
			conditions[i] = column + " IN (" + strings.Join(forms, ", ") + ")"
		}
	}
	if w.inDisjuncts++; len(w.disjuncts) > 0 {
		w.disjuncts = append(w.disjuncts, " OR "...)
	}
	w.disjuncts = append(w.disjuncts, "("+strings.Join(conditions, " AND ")+")"...)
	if w.inDisjuncts >= maxDisjuncts || len(w.list)+len(w.disjuncts) >= w.m.Limits.Bytes {
		w.flush()
	}
}

func (w *literalWriter) addToList(parts []string) {
	w.inList++
	if len(w.list) > 0 {
		w.list = append(w.list, ", "...)
	}
	if len(parts) == 1 {
		w.list = append(w.list, parts[0]...)
		return
	}
	w.list = append(w.list, '(')
	for i, p := range parts {
		if i > 0 {
			w.list = append(w.list, ',')
		}
		w.list = append(w.list, p...)
	}
	w.list = append(w.list, ')')
}

func (w *literalWriter) addDisjunct(parts []string) {
	w.inDisjuncts++
	if len(w.disjuncts) > 0 {
		w.disjuncts = append(w.disjuncts, " OR "...)
	}
	w.disjuncts = append(w.disjuncts, '(')
	for i, p := range parts {
		if i > 0 {
			w.disjuncts = append(w.disjuncts, " AND "...)
		}
		w.disjuncts = append(w.disjuncts, KeyColumn(w.m, i)...)
		if p == "NULL" {
			w.disjuncts = append(w.disjuncts, " IS NULL"...)
		} else {
			w.disjuncts = append(append(w.disjuncts, " = "...), p...)
		}
	}
	w.disjuncts = append(w.disjuncts, ')')
}

func (w *literalWriter) flush() {
	var b strings.Builder
	switch {
	case w.inList == 0:
	case len(w.m.Keys) == 1 && w.inList == 1:
		fmt.Fprintf(&b, "%s = %s", KeyColumn(w.m, 0), w.list)
	case len(w.m.Keys) == 1:
		fmt.Fprintf(&b, "%s IN (%s)", KeyColumn(w.m, 0), w.list)
	default:
		columns := make([]string, len(w.m.Keys))
		for i := range columns {
			columns[i] = KeyColumn(w.m, i)
		}
		values := ""
		if w.m.DB.Dialect().Name() == dialect.SQLite {
			values = "VALUES " // SQLite compares a row with a query, not with a list
		}
		fmt.Fprintf(&b, "(%s) IN (%s%s)", strings.Join(columns, ", "), values, w.list)
	}
	if w.inDisjuncts > 0 {
		if b.Len() > 0 {
			b.WriteString(" OR ")
		}
		b.Write(w.disjuncts)
	}
	if b.Len() > 0 {
		w.done = append(w.done, KeyBatch{Cond: b.String()})
	}
	w.list, w.disjuncts, w.inList, w.inDisjuncts = w.list[:0], w.disjuncts[:0], 0, 0
}

func (w *literalWriter) finish() []KeyBatch {
	w.flush()
	return w.done
}

// product returns all combinations of the alternatives.
func product(alternatives [][]string) [][]string {
	combos := [][]string{nil}
	for _, options := range alternatives {
		next := make([][]string, 0, len(combos)*len(options))
		for _, c := range combos {
			for _, o := range options {
				next = append(next, append(c[:len(c):len(c)], o))
			}
		}
		combos = next
	}
	return combos
}

// KeyColumn returns the key's i-th column as it is compared with literals.
func KeyColumn(m *model.Model, i int) string {
	c := m.Columns[m.Keys[i]]
	if comparesAsNumber(m, m.Keys[i]) {
		return "CAST(" + c.SQL + " AS NUMERIC)"
	}
	return c.SQL
}

// comparesAsNumber reports whether column i holds numbers that SQLite keeps as
// texts, where 1.50 and 1.5 would differ.
func comparesAsNumber(m *model.Model, i int) bool {
	c := m.Columns[i]
	if m.DB.Dialect().Name() != dialect.SQLite || m.Schema.Columns[i].Kind != value.KindDecimal || !c.Facts.Known {
		return false
	}
	a := exact.SQLiteAffinity(c.Facts.SQLType)
	return a == exact.AffinityText || a == exact.AffinityBlob
}

// literals returns literals for all forms in which column i may hold the value; nil
// if it cannot hold it.
func literals(m *model.Model, i int, v value.Value) []string {
	d := m.DB.Dialect()
	one := func(b []byte) []string { return []string{string(b)} }
	switch v.Kind() {
	case value.KindNull:
		return []string{"NULL"}
	case value.KindText:
		if m.UUIDTexts(i) {
			return sqliteUUIDs(v)
		}
		forms := textLiteral(d, v.String())
		if storesTextsAsBlobs(d.Name(), m.Columns[i].Facts.SQLType) {
			forms = append(forms, "X'"+hex.EncodeToString([]byte(v.String()))+"'")
		}
		return forms
	case value.KindBool:
		if d.Name() == dialect.SQLite && m.Schema.Columns[i].Exact == 0 {
			return sqliteBools[v.Any().(bool)]
		}
		return one(d.AppendBool(nil, v.Any().(bool)))
	case value.KindInt:
		return one(strconv.AppendInt(nil, v.Any().(int64), 10))
	case value.KindFloat:
		return floatLiterals(m, i, v.Any().(float64))
	case value.KindDecimal:
		s := v.String()
		switch last := s[len(s)-1]; {
		case last >= '0' && last <= '9':
			return []string{s}
		case d.Name() == dialect.PG: // NaN, Infinity
			return []string{"'" + s + "'"}
		}
		return nil
	case value.KindBytes:
		forms := one(d.AppendBytes(nil, v.Any().([]byte)))
		if d.Name() == dialect.SQLite && m.Schema.Columns[i].Exact == 0 {
			forms = append(forms, "CAST("+forms[0]+" AS TEXT)") // a text in a BLOB column
		}
		return forms
	case value.KindTime:
		t := v.Any().(time.Time)
		switch d.Name() {
		case dialect.SQLite:
			return sqliteTimes(t)
		case dialect.PG:
			if l := timeLiteral(d.Name(), whereColumn{}, t); l.beyond == 0 && !l.between {
				return []string{l.query}
			}
			return nil
		}
		return one(d.AppendTime(nil, t))
	default:
		return textLiteral(d, arrayText(v.String(), m.Columns[i].Facts.SQLType))
	}
}

// sqliteBools are the numbers and the texts that Bun reads as booleans. A column of a
// table that is not STRICT may hold them all.
var sqliteBools = map[bool][]string{
	true:  {"1", "'1'", "'t'", "'T'", "'true'", "'TRUE'", "'True'"},
	false: {"0", "'0'", "'f'", "'F'", "'false'", "'FALSE'", "'False'"},
}

// storesTextsAsBlobs reports whether the column may hold a text as a text or as a BLOB,
// which SQLite does not compare as equal.
func storesTextsAsBlobs(d dialect.Name, sqlType string) bool {
	return d == dialect.SQLite && sqlType != "" && exact.SQLiteAffinity(sqlType) == exact.AffinityBlob
}

func floatLiterals(m *model.Model, i int, f float64) []string {
	d := m.DB.Dialect()
	if d.Name() == dialect.PG {
		return []string{"'" + value.Float(f).String() + "'"} // of the column's own precision
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		if l := specialNumber(d.Name(), f); l.beyond == 0 {
			return []string{l.query}
		}
		return nil
	}
	exact := strconv.FormatFloat(f, 'e', -1, 64)
	if d.Name() == dialect.SQLite {
		exact = SQLiteFloat(f)
	}
	if m.Columns[i].Field.IndirectType.Kind() != reflect.Float32 {
		return []string{exact}
	}
	// Bun writes 0.1 where the float32 is 0.10000000149011612, and the column
	// may have kept more digits than a float32 has.
	return []string{exact, strconv.FormatFloat(f, 'e', -1, 32)}
}

// textLiteral writes a text exactly. Bun would alter or refuse NUL and invalid UTF-8:
// such a text is written in hexadecimal if the database can hold it.
func textLiteral(d schema.Dialect, s string) []string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return []string{string(d.AppendString(nil, s))}
	}
	x := "X'" + hex.EncodeToString([]byte(s)) + "'"
	switch d.Name() {
	case dialect.SQLite:
		return []string{"CAST(" + x + " AS TEXT)"}
	case dialect.MySQL:
		return []string{"CONVERT(" + x + " USING utf8mb4)"}
	}
	return nil
}

// sqliteTimeForms are the ways in which times are commonly written in SQLite,
// which has no type for them: Bun's, RFC 3339, SQLite's own functions,
// JavaScript's, and that of the modernc driver.
var sqliteTimeForms = []string{
	"2006-01-02 15:04:05.999999-07:00",
	"2006-01-02 15:04:05.999999999-07:00",
	"2006-01-02 15:04:05.999999999",
	"2006-01-02 15:04:05.000",
	"2006-01-02T15:04:05.999999999Z07:00",
	"2006-01-02T15:04:05.999999999-07:00",
	"2006-01-02T15:04:05.999999999",
	"2006-01-02T15:04:05.000Z07:00",
	"2006-01-02 15:04:05.999999999 -0700 MST",
	"2006-01-02",
}

func sqliteTimes(t time.Time) []string {
	t = t.UTC()
	var forms []string
	for _, layout := range sqliteTimeForms {
		text := t.Format(layout)
		if back, err := time.Parse(layout, text); err != nil || !back.Equal(t) {
			continue // the form is too coarse for this time
		}
		if text = "'" + text + "'"; !slices.Contains(forms, text) {
			forms = append(forms, text)
		}
	}
	return forms
}
