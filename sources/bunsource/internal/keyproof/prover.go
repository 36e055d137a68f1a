package keyproof

import (
	sqldriver "database/sql/driver"
	"slices"
	"strings"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/internal/sqltext"
)

// MaxKeys bounds the keys of one table that a write reports one by one; beyond it
// the whole table is reported.
const MaxKeys = 4096

// proof is what the text of a write proves about the rows it changes in one
// table.
type proof struct {
	keys  []driver.Key // with known: every row that changes has one of these keys
	known bool
	one   bool // at most one row changes, before and after under the same key
}

// prover reads keys out of the text of one write.
type prover struct {
	*sqltext.Text
	w    *sqltext.Write
	s    *driver.Schema
	args []sqldriver.NamedValue
	key  []driver.Column // the key's columns, in key order

	vals [][]any // per key column: the values that WHERE leaves
	rows [][]any // the keys that WHERE leaves, where it names them whole
	with []int   // per key column: the token of the column it is compared with
}

func newProver(p *sqltext.Text, w *sqltext.Write, s *driver.Schema, args []sqldriver.NamedValue) (prover, bool) {
	r := prover{Text: p, w: w, s: s, args: args, key: make([]driver.Column, len(s.Key))}
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
	if r.w.Replace {
		return proof{}
	}
	switch r.w.Verb {
	case sqltext.Insert:
		return r.proveInsert()
	case sqltext.Update, sqltext.Delete:
		return r.proveWhere()
	default:
		return proof{}
	}
}

func (r *prover) proveInsert() proof {
	if r.w.Values.Empty() {
		return proof{}
	}
	out := proof{known: !r.w.Columns.Empty() && !r.w.Ignored && !r.w.Ignore}
	places := make([]int, len(r.key)) // of the key columns among the values
	for i := range r.key {
		places[i] = r.place(i)
		out.known = out.known && places[i] >= 0
	}
	if r.w.OnUpdate {
		if _, assigned := r.assigned(); assigned {
			return proof{}
		}
		// An update on conflict changes the row that has the values of the
		// conflict's columns: the row inserted, if these are the key.
		out.known = out.known && r.conflictsOnKey()
	}
	tuples := 0
	row := make([]any, len(r.key))
	for at := r.w.Values.Lo; at < r.w.Values.Hi; at++ {
		if !r.Is(at, "(") {
			continue
		}
		end := r.Closing(at, r.w.Values.Hi)
		tuples++
		if out.known {
			if key, ok := r.tupleKey(span(at+1, end), places, row, true); ok && len(out.keys) < MaxKeys {
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
	for at := r.w.Columns.Lo; at < r.w.Columns.Hi; at++ {
		if r.Is(at, ",") {
			n++
		} else if r.column(at, i) {
			found = n
		}
	}
	return found
}

// tupleKey reads the key out of one tuple of values.
func (r *prover) tupleKey(s sqltext.Span, places []int, row []any, stored bool) (driver.Key, bool) {
	found := 0
	n := 0
	depth := int32(-1)
	for at := s.Lo; at <= s.Hi; {
		if depth < 0 && at < s.Hi {
			depth = r.Depth(at)
		}
		end := at
		for end < s.Hi && !(r.Depth(end) == depth && r.Is(end, ",")) {
			end++
		}
		for i, place := range places {
			if place == n {
				v, ok := r.literal(span(at, end), r.key[i], stored)
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
	if r.w.OnTarget.Empty() || !r.exact() {
		return false
	}
	seen, n := make([]bool, len(r.key)), 1
	for at := r.w.OnTarget.Lo; at < r.w.OnTarget.Hi; at++ {
		if r.Is(at, ",") {
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
// column, and whether there may be such an assignment at all. The token is the
// end of the assignments when the value cannot be read.
func (r *prover) assigned() (at int, ok bool) {
	s := r.w.Set
	if s.Empty() {
		return 0, false
	}
	for i := range r.key {
		if r.key[i].Computed { // out of columns that may be among the assigned
			return s.Hi, true
		}
	}
	depth := r.Depth(s.Lo)
	start := true
	for at := s.Lo; at < s.Hi; at++ {
		if r.Depth(at) != depth {
			continue
		}
		switch {
		case start && r.Is(at, "("): // (a, b) = …
			for i := at + 1; i < r.Closing(at, s.Hi); i++ {
				if !r.Is(i, ",") && r.mayBeKey(i) {
					return s.Hi, true
				}
			}
		case start:
			last := at
			for last+2 < s.Hi && r.Is(last+1, ".") {
				last += 2
			}
			if !r.Is(last+1, "=") {
				return s.Hi, true // an element or a field of the column, or nothing known
			}
			if r.keyColumn(last) >= 0 {
				return last + 2, true
			}
			if r.mayBeKey(last) {
				return s.Hi, true
			}
		}
		start = r.Is(at, ",")
	}
	return 0, false
}

// mayBeKey reports whether an assignment to the name at the token may be one to
// a key column: it is one, or it is spelled in a way that is not read here.
func (r *prover) mayBeKey(at int) bool {
	if !r.IsName(at) || r.keyColumn(at) >= 0 {
		return true
	}
	if r.Dialect != sqltext.SQLite {
		return false
	}
	switch strings.ToLower(r.Name(at)) {
	case "rowid", "oid", "_rowid_": // other names of an INTEGER PRIMARY KEY
		return true
	}
	return false
}

// proveWhere reads the keys that the conditions of an UPDATE or DELETE leave.
func (r *prover) proveWhere() proof {
	if r.w.Where.Empty() || !r.exact() {
		return proof{}
	}
	r.vals, r.with = make([][]any, len(r.key)), make([]int, len(r.key))
	r.conjunction(r.w.Where)
	keys, ok := r.whereKeys()
	if !ok {
		return proof{}
	}
	at, assigned := r.assigned()
	if !assigned {
		return proof{keys: keys, known: true, one: len(keys) <= 1}
	}
	// The key itself changes: the new key counts as well, if it can be read.
	if len(r.key) > 1 || at >= r.w.Set.Hi || r.w.Ignore {
		return proof{}
	}
	end := at
	for end < r.w.Set.Hi && !r.Is(end, ",") && !r.Word(end, "WHERE", "FROM") {
		end++
	}
	v, ok := r.literal(span(at, end), r.key[0], true)
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
			if vals == nil || n > MaxKeys {
				return nil, false
			}
		}
		rows = combinations(r.vals)
	}
	if len(rows) > MaxKeys {
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

// conjunction reads the conditions that AND joins. It leaves out conditions that
// it does not understand, because another condition can only leave fewer rows.
// It leaves out all of them where the text has an operator that binds less than
// AND, or an AND that joins no conditions.
func (r *prover) conjunction(s sqltext.Span) {
	if s.Empty() {
		return
	}
	depth := r.Depth(s.Lo)
	for i := s.Lo; i < s.Hi; i++ {
		if r.Depth(i) == depth && (r.Word(i, "OR", "XOR", "BETWEEN", "CASE") || r.Dialect == sqltext.MySQL && (r.Is(i, "||") || r.Is(i, ":="))) {
			return
		}
	}
	for lo := s.Lo; lo < s.Hi; {
		hi := lo
		for hi < s.Hi && !(r.Depth(hi) == depth && r.Word(hi, "AND")) {
			hi++
		}
		if hi > lo {
			r.condition(span(lo, hi))
		}
		lo = hi + 1
	}
}

// condition reads one condition: column = value, column IN (values),
// (columns) IN ((values), …), column = column, or more in parentheses.
func (r *prover) condition(s sqltext.Span) {
	if r.Is(s.Lo, "(") {
		end := r.Closing(s.Lo, s.Hi)
		switch {
		case end == s.Hi-1:
			r.conjunction(span(s.Lo+1, end))
		case r.Word(end+1, "IN") && r.Is(end+2, "(") && r.Closing(end+2, s.Hi) == s.Hi-1:
			r.rowsIn(span(s.Lo+1, end), span(end+3, s.Hi-1))
		}
		return
	}
	i, at := r.targetColumn(s)
	if i < 0 || at >= s.Hi {
		return
	}
	switch {
	case r.Is(at, "=") || r.Is(at, "=="):
		if v, ok := r.literal(span(at+1, s.Hi), r.key[i], false); ok {
			r.narrow(i, []any{v})
		} else if at+4 == s.Hi && r.Is(at+2, ".") {
			r.with[i] = at + 1
		}
	case r.Word(at, "IN") && r.Is(at+1, "(") && r.Closing(at+1, s.Hi) == s.Hi-1:
		vals := []any{}
		for lo := at + 2; lo < s.Hi-1; {
			hi := lo
			for hi < s.Hi-1 && !r.Is(hi, ",") {
				hi++
			}
			v, ok := r.literal(span(lo, hi), r.key[i], false)
			if !ok || len(vals) == MaxKeys {
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
func (r *prover) rowsIn(columns, tuples sqltext.Span) {
	places := make([]int, len(r.key))
	for i := range places {
		places[i] = -1
	}
	n := 0
	for at := columns.Lo; at < columns.Hi; n++ {
		i, next := r.targetColumn(span(at, columns.Hi))
		if i < 0 || next < columns.Hi && !r.Is(next, ",") {
			return
		}
		places[i] = n
		at = next + 1
	}
	if n != len(r.key) || slices.Contains(places, -1) {
		return
	}
	rows := [][]any{}
	for at := tuples.Lo; at < tuples.Hi; at++ {
		if r.Is(at, ",") || r.Word(at, "VALUES") {
			continue
		}
		if !r.Is(at, "(") || len(rows) == MaxKeys {
			return
		}
		end := r.Closing(at, tuples.Hi)
		row := make([]any, len(r.key))
		if _, ok := r.tupleKey(span(at+1, end), places, row, false); !ok {
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
	if w.Verb != sqltext.Update || !w.Top || r.Statements != 1 || slices.Contains(r.with, 0) || !r.Word(0, "WITH") {
		return nil
	}
	data := r.Name(r.with[0])
	for _, at := range r.with {
		if r.Name(at) != data {
			return nil
		}
	}
	// The only other table is the list of values, under its own name.
	if w.From.Hi-w.From.Lo != 1 || !r.IsName(w.From.Lo) || r.Name(w.From.Lo) != data {
		return nil
	}
	at := 1
	for r.Depth(at) != 0 || r.Kind(at) == sqltext.Punct || r.Name(at) != data || !r.Is(at+1, "(") {
		if at++; at >= w.Set.Lo {
			return nil
		}
	}
	end := r.Closing(at+1, r.Len())
	columns := span(at+2, end)
	if !r.Word(end+1, "AS") || !r.Is(end+2, "(") || !r.Word(end+3, "VALUES") {
		return nil
	}
	places := make([]int, len(r.key))
	for i, token := range r.with {
		places[i] = -1
		n := 0
		for at := columns.Lo; at < columns.Hi; at++ {
			if r.Is(at, ",") {
				n++
			} else if r.Name(at) == r.Name(token+2) {
				places[i] = n
			}
		}
	}
	rows := [][]any{}
	for at, hi := end+4, r.Closing(end+2, r.Len()); at < hi; at++ {
		if r.Is(at, ",") {
			continue
		}
		if !r.Is(at, "(") || len(rows) == MaxKeys {
			return nil
		}
		end := r.Closing(at, hi)
		row := make([]any, len(r.key))
		if _, ok := r.tupleKey(span(at+1, end), places, row, false); !ok {
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
func (r *prover) targetColumn(s sqltext.Span) (i, next int) {
	last := s.Lo
	for last+2 < s.Hi && r.Is(last+1, ".") {
		last += 2
	}
	switch parts := (last - s.Lo) / 2; {
	case parts == 0:
	case parts > 2, !r.isTarget(last - 2):
		return -1, last + 1
	case parts == 2:
		// Two tables of one name may stand in a statement, in different schemas.
		if r.w.Alias != "" || r.w.Exact.Schema == "" || !r.IsName(s.Lo) || r.Resolved(s.Lo) != r.w.Exact.Schema {
			return -1, last + 1
		}
	}
	return r.keyColumn(last), last + 1
}

// isTarget reports whether the token names the table that is written.
func (r *prover) isTarget(i int) bool {
	if !r.IsName(i) {
		return false
	}
	if r.w.Alias != "" {
		return r.Resolved(i) == r.w.Alias
	}
	return r.Resolved(i) == r.w.Exact.Name
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
	return at < r.Len() && r.sameName(at, r.key[i].Name)
}

// sameName reports whether the identifier at the token is the name, as the
// dialect compares names: in Postgres a bare Id is not the column "Id".
func (r *prover) sameName(at int, name string) bool {
	if !r.IsName(at) {
		return false
	}
	if r.Dialect == sqltext.Postgres {
		return r.Resolved(at) == name
	}
	return strings.EqualFold(r.Name(at), name)
}

func span(lo, hi int) sqltext.Span { return sqltext.Span{Lo: lo, Hi: hi} }

// literal reads a literal or an argument as a value of a key column, if the
// database is certain to take it for the same value. stored says that it is
// stored in the column, and not only compared with it.
func (r *prover) literal(s sqltext.Span, c driver.Column, stored bool) (any, bool) {
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
func (r *prover) harmlessCast(s sqltext.Span, literal sqltext.Kind) bool {
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
