package bunsource

import (
	sqldriver "database/sql/driver"
	"slices"
	"strings"

	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

// maxKeys is how many keys of one table are kept apart; beyond it the whole
// table is reported.
const maxKeys = 4096

// proof is what the text of a write proves about the rows it changes in one
// table.
type proof struct {
	keys  []driver.Key // with known: every row that changes has one of these keys
	known bool
	one   bool // at most one row changes, before and after under the same key
}

// prover reads keys out of the text of one write.
type prover struct {
	*parsed
	w    *write
	s    *driver.Schema
	args []sqldriver.NamedValue
	key  []driver.Column // the key's columns, in key order

	vals [][]any // per key column: the values that WHERE leaves
	rows [][]any // the keys that WHERE leaves, where it names them whole
	with []int   // per key column: the token of the column it is compared with
}

func newProver(p *parsed, w *write, s *driver.Schema, args []sqldriver.NamedValue) (prover, bool) {
	r := prover{parsed: p, w: w, s: s, args: args, key: make([]driver.Column, len(s.Key))}
	if len(s.Key) == 0 {
		return r, false // a table that bindings only depend on
	}
	for i, name := range s.Key {
		c := s.Column(name)
		if c < 0 {
			return r, false
		}
		r.key[i] = s.Columns[c]
	}
	return r, true
}

// prove says which rows of a table the write changes.
func (r *prover) prove() proof {
	if r.w.replace {
		return proof{}
	}
	switch r.w.verb {
	case verbInsert:
		return r.proveInsert()
	case verbUpdate, verbDelete:
		return r.proveWhere()
	default:
		return proof{}
	}
}

func (r *prover) proveInsert() proof {
	if r.w.values.empty() {
		return proof{}
	}
	out := proof{known: !r.w.columns.empty()}
	places := make([]int, len(r.key)) // of the key columns among the values
	for i := range r.key {
		places[i] = r.place(i)
		out.known = out.known && places[i] >= 0
	}
	if r.w.onUpdate {
		if _, assigned := r.assigned(); assigned {
			return proof{}
		}
		// An update on conflict changes the row that has the values of the
		// conflict's columns: the row inserted, if these are the key.
		out.known = out.known && r.conflictsOnKey()
	}
	tuples := 0
	row := make([]any, len(r.key))
	for at := r.w.values.lo; at < r.w.values.hi; at++ {
		if !r.is(at, "(") {
			continue
		}
		end := r.closing(at, r.w.values.hi)
		tuples++
		if out.known {
			if key, ok := r.tupleKey(span{at + 1, end}, places, row, true); ok && len(out.keys) < maxKeys {
				out.keys = append(out.keys, key)
			} else {
				out.known, out.keys = false, nil
			}
		}
		if !out.known && tuples > 1 {
			break
		}
		at = end
	}
	out.one = tuples == 1
	return out
}

// place returns the position of key column i in the list of columns, or -1.
func (r *prover) place(i int) int {
	n, found := 0, -1
	for at := r.w.columns.lo; at < r.w.columns.hi; at++ {
		if r.is(at, ",") {
			n++
		} else if r.column(at, i) {
			found = n
		}
	}
	return found
}

// tupleKey reads the key out of one tuple of values.
func (r *prover) tupleKey(s span, places []int, row []any, stored bool) (driver.Key, bool) {
	found := 0
	n := 0
	depth := int32(-1)
	for at := s.lo; at <= s.hi; {
		if depth < 0 && at < s.hi {
			depth = r.toks[at].depth
		}
		end := at
		for end < s.hi && !(r.toks[end].depth == depth && r.is(end, ",")) {
			end++
		}
		for i, place := range places {
			if place == n {
				v, ok := r.literal(span{at, end}, r.key[i], stored)
				if !ok {
					return "", false
				}
				row[i] = v
				found++
			}
		}
		n++
		at = end + 1
	}
	if found != len(places) {
		return "", false
	}
	key, err := r.s.MakeKey(row...)
	return key, err == nil
}

// conflictsOnKey reports whether the conflict's columns are those of the key,
// and equality of keys is the same in Go as in the database.
func (r *prover) conflictsOnKey() bool {
	if r.w.onTarget.empty() || !r.exact() {
		return false
	}
	seen, n := make([]bool, len(r.key)), 1
	for at := r.w.onTarget.lo; at < r.w.onTarget.hi; at++ {
		if r.is(at, ",") {
			n++
			continue
		}
		i := r.keyColumn(at)
		if i < 0 || seen[i] {
			return false
		}
		seen[i] = true
	}
	return n == len(r.key) && !slices.Contains(seen, false)
}

// exact reports whether a key that the database takes for equal to a literal
// is so in Go. Integers always are, whatever the column's own type is.
func (r *prover) exact() bool {
	for i := range r.key {
		if r.key[i].Kind != value.KindInt && r.key[i].Exact&filter.ExactEqual == 0 {
			return false
		}
	}
	return true
}

// assigned returns the first token of the value that is assigned to a key
// column, and whether there is such an assignment at all.
func (r *prover) assigned() (at int, ok bool) {
	s := r.w.set
	if s.empty() {
		return 0, false
	}
	depth := r.toks[s.lo].depth
	start := true
	for at := s.lo; at < s.hi; at++ {
		if r.toks[at].depth != depth {
			continue
		}
		switch {
		case start && r.is(at, "("): // (a, b) = …
			for i := at + 1; i < r.closing(at, s.hi); i++ {
				if r.keyColumn(i) >= 0 {
					return s.hi, true
				}
			}
		case start:
			last := at
			for last+2 < s.hi && r.is(last+1, ".") {
				last += 2
			}
			if r.keyColumn(last) >= 0 {
				return last + 2, true
			}
		}
		start = r.is(at, ",")
	}
	return 0, false
}

// proveWhere reads the keys that the conditions of an UPDATE or DELETE leave.
func (r *prover) proveWhere() proof {
	if r.w.where.empty() || !r.exact() {
		return proof{}
	}
	r.vals, r.with = make([][]any, len(r.key)), make([]int, len(r.key))
	r.conjunction(r.w.where)
	keys, ok := r.whereKeys()
	if !ok {
		return proof{}
	}
	at, assigned := r.assigned()
	if !assigned {
		return proof{keys: keys, known: true, one: len(keys) <= 1}
	}
	// The key itself changes: the new key counts as well, if it can be read.
	if len(r.key) > 1 {
		return proof{}
	}
	end := at
	for end < r.w.set.hi && !r.is(end, ",") && !r.word(end, "WHERE", "FROM") {
		end++
	}
	v, ok := r.literal(span{at, end}, r.key[0], true)
	if !ok {
		return proof{}
	}
	key, err := r.s.MakeKey(v)
	if err != nil {
		return proof{}
	}
	return proof{keys: append(keys, key), known: true}
}

func (r *prover) whereKeys() ([]driver.Key, bool) {
	rows := r.rows
	if rows == nil {
		rows = r.joined()
	}
	if rows == nil {
		n := 1
		for _, vals := range r.vals {
			n *= len(vals)
			if vals == nil || n > maxKeys {
				return nil, false
			}
		}
		rows = combinations(r.vals)
	}
	if len(rows) > maxKeys {
		return nil, false
	}
	keys := make([]driver.Key, 0, len(rows)+1)
	for _, row := range rows {
		key, err := r.s.MakeKey(row...)
		if err != nil {
			return nil, false
		}
		keys = append(keys, key)
	}
	return keys, true
}

// combinations returns every choice of one value per column.
func combinations(vals [][]any) [][]any {
	rows := [][]any{nil}
	for _, column := range vals {
		var next [][]any
		for _, row := range rows {
			for _, v := range column {
				next = append(next, append(slices.Clip(row), v))
			}
		}
		rows = next
	}
	return rows
}

// conjunction reads the conditions that AND joins. What it does not
// understand it leaves out, for another condition can only leave fewer rows;
// but where there is more than AND it leaves out all.
func (r *prover) conjunction(s span) {
	if s.empty() {
		return
	}
	depth := r.toks[s.lo].depth
	for i := s.lo; i < s.hi; i++ {
		if r.toks[i].depth == depth && (r.word(i, "OR", "XOR", "BETWEEN", "CASE") || r.toks[i].kind == tokOp && r.dialect == dialect.MySQL && r.text(i) == "||") {
			return
		}
	}
	for lo := s.lo; lo < s.hi; {
		hi := lo
		for hi < s.hi && !(r.toks[hi].depth == depth && r.word(hi, "AND")) {
			hi++
		}
		if hi > lo {
			r.condition(span{lo, hi})
		}
		lo = hi + 1
	}
}

// condition reads one condition: column = value, column IN (values),
// (columns) IN ((values), …), column = column, or more in parentheses.
func (r *prover) condition(s span) {
	if r.is(s.lo, "(") {
		end := r.closing(s.lo, s.hi)
		switch {
		case end == s.hi-1:
			r.conjunction(span{s.lo + 1, end})
		case r.word(end+1, "IN") && r.is(end+2, "(") && r.closing(end+2, s.hi) == s.hi-1:
			r.rowsIn(span{s.lo + 1, end}, span{end + 3, s.hi - 1})
		}
		return
	}
	i, at := r.targetColumn(s)
	if i < 0 || at >= s.hi {
		return
	}
	switch {
	case r.is(at, "=") || r.is(at, "=="):
		if v, ok := r.literal(span{at + 1, s.hi}, r.key[i], false); ok {
			r.narrow(i, []any{v})
		} else if at+4 == s.hi && r.is(at+2, ".") {
			r.with[i] = at + 1
		}
	case r.word(at, "IN") && r.is(at+1, "(") && r.closing(at+1, s.hi) == s.hi-1:
		vals := []any{}
		for lo := at + 2; lo < s.hi-1; {
			hi := lo
			for hi < s.hi-1 && !r.is(hi, ",") {
				hi++
			}
			v, ok := r.literal(span{lo, hi}, r.key[i], false)
			if !ok || len(vals) == maxKeys {
				return
			}
			vals = append(vals, v)
			lo = hi + 1
		}
		r.narrow(i, vals)
	}
}

// narrow keeps the shorter of two lists of values that both must hold.
func (r *prover) narrow(i int, vals []any) {
	if r.vals[i] == nil || len(vals) < len(r.vals[i]) {
		r.vals[i] = vals
	}
}

// rowsIn reads (columns) IN ((values), …) where the columns are the key.
func (r *prover) rowsIn(columns, tuples span) {
	places := make([]int, len(r.key))
	for i := range places {
		places[i] = -1
	}
	n := 0
	for at := columns.lo; at < columns.hi; n++ {
		i, next := r.targetColumn(span{at, columns.hi})
		if i < 0 || next < columns.hi && !r.is(next, ",") {
			return
		}
		places[i] = n
		at = next + 1
	}
	if n != len(r.key) || slices.Contains(places, -1) {
		return
	}
	rows := [][]any{}
	for at := tuples.lo; at < tuples.hi; at++ {
		if r.is(at, ",") || r.word(at, "VALUES") {
			continue
		}
		if !r.is(at, "(") || len(rows) == maxKeys {
			return
		}
		end := r.closing(at, tuples.hi)
		row := make([]any, len(r.key))
		if _, ok := r.tupleKey(span{at + 1, end}, places, row, false); !ok {
			return
		}
		rows = append(rows, row)
		at = end
	}
	r.rows = rows
}

// joined reads the keys of an update from a list of values, as Bun's Bulk
// writes it: WITH data (columns) AS (VALUES …) UPDATE … FROM data WHERE
// table.key = data.key.
func (r *prover) joined() [][]any {
	w := r.w
	if w.verb != verbUpdate || !w.top || slices.Contains(r.with, 0) || !r.word(0, "WITH") {
		return nil
	}
	data := r.ident(r.with[0])
	for _, at := range r.with {
		if r.ident(at) != data {
			return nil
		}
	}
	// The only other table is the list of values, under its own name.
	if from := w.where.lo - 3; from < w.set.lo || !r.word(from, "FROM") || r.ident(from+1) != data {
		return nil
	}
	at := 1
	for !(r.toks[at].depth == 0 && r.toks[at].kind != tokPunct && r.ident(at) == data && r.is(at+1, "(")) {
		if at++; at >= w.set.lo {
			return nil
		}
	}
	end := r.closing(at+1, len(r.toks))
	columns := span{at + 2, end}
	if !r.word(end+1, "AS") || !r.is(end+2, "(") || !r.word(end+3, "VALUES") {
		return nil
	}
	places := make([]int, len(r.key))
	for i, token := range r.with {
		places[i] = -1
		n := 0
		for at := columns.lo; at < columns.hi; at++ {
			if r.is(at, ",") {
				n++
			} else if r.ident(at) == r.ident(token+2) {
				places[i] = n
			}
		}
	}
	rows := [][]any{}
	for at, hi := end+4, r.closing(end+2, len(r.toks)); at < hi; at++ {
		if r.is(at, ",") {
			continue
		}
		if !r.is(at, "(") || len(rows) == maxKeys {
			return nil
		}
		end := r.closing(at, hi)
		row := make([]any, len(r.key))
		if _, ok := r.tupleKey(span{at + 1, end}, places, row, false); !ok {
			return nil
		}
		rows = append(rows, row)
		at = end
	}
	return rows
}

// targetColumn reads a column of the write's table, with or without its
// table, and returns which column of the key it is, or -1, and the token
// after it.
func (r *prover) targetColumn(s span) (i, next int) {
	last := s.lo
	for last+2 < s.hi && r.is(last+1, ".") {
		last += 2
	}
	if last > s.lo && !r.isTarget(last-2) {
		return -1, last + 1
	}
	return r.keyColumn(last), last + 1
}

// isTarget reports whether the token names the table that is written.
func (r *prover) isTarget(i int) bool {
	if r.toks[i].kind != tokWord && r.toks[i].kind != tokQuoted {
		return false
	}
	if r.w.alias != "" {
		return r.sameName(i, r.w.alias)
	}
	return strings.EqualFold(r.ident(i), r.w.target.name)
}

// keyColumn returns which column of the key the token names, or -1.
func (r *prover) keyColumn(at int) int {
	for i := range r.key {
		if r.column(at, i) {
			return i
		}
	}
	return -1
}

func (r *prover) column(at, i int) bool {
	return at < len(r.toks) && r.sameName(at, r.key[i].Name)
}

// sameName reports whether the identifier at the token is the name, as the
// dialect compares names.
func (r *prover) sameName(at int, name string) bool {
	switch r.toks[at].kind {
	case tokQuoted:
		if r.dialect == dialect.PG {
			return r.ident(at) == name
		}
		return strings.EqualFold(r.ident(at), name)
	case tokWord:
		return strings.EqualFold(r.text(at), name)
	default:
		return false
	}
}

// literal reads a literal or an argument as a value of a key column, if the
// database is certain to take it for the same value. stored says that it is
// stored in the column, and not only compared with it.
func (r *prover) literal(s span, c driver.Column, stored bool) (any, bool) {
	negative := !s.empty() && r.is(s.lo, "-")
	if negative {
		s.lo++
	}
	if s.empty() {
		return nil, false
	}
	text := r.text(s.lo)
	kind := r.toks[s.lo].kind
	if s.hi-s.lo > 1 && !r.harmlessCast(span{s.lo + 1, s.hi}, kind) || negative && kind != tokNumber {
		return nil, false
	}
	switch kind {
	case tokNumber:
		if negative {
			text = "-" + text
		}
		return r.numberLiteral(text, c.Kind, stored)
	case tokString:
		text = text[1 : len(text)-1]
		if strings.IndexByte(text, '\'') >= 0 {
			text = strings.ReplaceAll(text, "''", "'")
		}
		return r.stringLiteral(text, c, stored)
	case tokBlob:
		if c.Kind != value.KindBytes || r.dialect == dialect.PG {
			return nil, false
		}
		return decodeHex(text[2 : len(text)-1])
	case tokWord:
		if c.Kind == value.KindBool && r.word(s.lo, "TRUE", "FALSE") {
			return r.word(s.lo, "TRUE"), true
		}
	case tokParam:
		return r.argument(r.toks[s.lo].param, c, stored)
	}
	return nil, false
}

// harmlessCast reports whether the tokens are a cast of Postgres that leaves a
// literal as it is.
func (r *prover) harmlessCast(s span, literal tokenKind) bool {
	if !r.is(s.lo, "::") {
		return false
	}
	switch {
	case s.hi-s.lo == 2 && literal == tokNumber:
		return r.word(s.lo+1, "BIGINT", "INTEGER", "INT", "SMALLINT", "INT8", "INT4", "INT2")
	case s.hi-s.lo == 2 && literal == tokString:
		return r.word(s.lo+1, "VARCHAR", "TEXT", "UUID", "BYTEA")
	case s.hi-s.lo == 3 && literal == tokString:
		return r.word(s.lo+1, "CHARACTER") && r.word(s.lo+2, "VARYING")
	case s.hi-s.lo == 2 && literal == tokWord:
		return r.word(s.lo+1, "BOOLEAN", "BOOL")
	default:
		return false
	}
}
