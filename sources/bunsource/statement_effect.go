package bunsource

import (
	sqldriver "database/sql/driver"
	"strings"

	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
)

// effect is what a statement about to run may change, and how more can be
// learnt from its answer.
type effect struct {
	bound  *boundTables // what was bound when this was found out
	any    bool
	tables []tableEffect
	// counted: the affected rows that the database counts are those of the one
	// write of the statement, so that none means that nothing changed.
	counted bool
}

// tableEffect is the effect on one table, as the statement spells it.
type tableEffect struct {
	name  tableName
	bound []boundEffect // per bound table that the name stands for
}

// boundEffect is the effect on a bound table.
type boundEffect struct {
	schema *driver.Schema
	proof
	answer    *answer // how the statement's rows tell the keys, or nil
	generated bool    // one row was inserted, with a key that the database makes
}

// answer says where the rows of RETURNING hold the key.
type answer struct {
	columns []int // per key column; nil: found by name
	names   []string
	keys    []driver.Key
	failed  bool
}

// effectOf returns what the parsed statement may change in the bound tables.
// It keeps nothing of p or args.
func effectOf(p *parsed, b *boundTables, args []sqldriver.NamedValue) effect {
	e := effect{bound: b}
	writes := 0
	for i := range p.ops {
		switch p.ops[i].kind {
		case opAny:
			e.any = true
		case opWrite:
			writes++
			w := &p.ops[i].write
			te := tableEffect{name: w.target}
			for _, s := range b.match(w.target) {
				te.bound = append(te.bound, boundEffectOf(p, w, s, args))
			}
			e.tables = append(e.tables, te)
		}
	}
	// With several writes in one text the answer is not that of a certain one.
	alone := writes == 1 && len(p.ops) == 1 && p.texts == 1
	w := &write{}
	if alone {
		w = &p.ops[0].write
	}
	if !alone || !w.top || w.replace || w.verb == verbOther {
		for i := range e.tables {
			for j := range e.tables[i].bound {
				e.tables[i].bound[j].answer = nil
				e.tables[i].bound[j].generated = false
			}
		}
		return e
	}
	e.counted = true
	return e
}

func boundEffectOf(p *parsed, w *write, s *driver.Schema, args []sqldriver.NamedValue) boundEffect {
	e := boundEffect{schema: s}
	r, ok := newProver(p, w, s, args)
	if !ok {
		return e
	}
	e.proof = r.prove()
	if e.known || w.replace {
		return e
	}
	if _, assigned := r.assigned(); assigned {
		return e // the old keys are not in the answer
	}
	if !w.returning.empty() {
		e.answer = r.answer()
	} else if e.one && !w.onUpdate && (p.dialect == dialect.SQLite || p.dialect == dialect.MySQL) {
		e.generated = r.generates()
	}
	return e
}

// generates reports whether an INSERT of one row leaves the key, an integer,
// to the database.
func (r *prover) generates() bool {
	if r.w.verb != verbInsert || r.w.columns.empty() || len(r.key) != 1 || r.key[0].Kind != value.KindInt {
		return false
	}
	place := r.place(0)
	if place < 0 {
		return true
	}
	depth := r.toks[r.w.values.lo].depth + 1
	at := r.w.values.lo + 1
	for n := 0; n < place && at < r.w.values.hi; at++ {
		if r.toks[at].depth == depth && r.is(at, ",") {
			n++
		}
	}
	if at >= r.w.values.hi || !r.word(at, "NULL", "DEFAULT") && r.text(at) != "0" {
		return false
	}
	return r.is(at+1, ",") || r.is(at+1, ")")
}

// answer finds the key among the columns of RETURNING. Only plain columns
// count: what an expression returns under a column's name is not the column.
func (r *prover) answer() *answer {
	for i := range r.key {
		if k := r.key[i].Kind; k == value.KindFloat || k == value.KindOpaque {
			return nil
		}
	}
	s := r.w.returning
	last := s.hi - 1
	if r.is(last, "*") && (last == s.lo || last == s.lo+2 && r.is(s.lo+1, ".") && r.isTarget(s.lo)) {
		return &answer{names: r.s.Key}
	}
	columns := make([]int, len(r.key))
	for i := range columns {
		columns[i] = -1
	}
	depth := r.toks[s.lo].depth
	n := 0
	for at := s.lo; at < s.hi; n++ {
		end := at
		for end < s.hi && !(r.toks[end].depth == depth && r.is(end, ",")) {
			if r.toks[end].depth == depth && r.is(end, "*") && (end == at || r.is(end-1, ".")) {
				return nil // stands for columns that are not counted here
			}
			end++
		}
		i, next := r.targetColumn(span{at, end})
		if i >= 0 && (next == end || r.word(next, "AS")) {
			columns[i] = n
		}
		at = end + 1
	}
	for _, c := range columns {
		if c < 0 {
			return nil
		}
	}
	return &answer{columns: columns}
}

// locate finds the columns by name, once the names are known.
func (a *answer) locate(names []string) {
	if a.columns != nil || a.failed {
		return
	}
	for _, key := range a.names {
		at := -1
		for i, name := range names {
			if strings.EqualFold(name, key) {
				if at >= 0 {
					a.failed = true // of two tables
					return
				}
				at = i
			}
		}
		if at < 0 {
			a.failed = true
			return
		}
		a.columns = append(a.columns, at)
	}
}

// row takes the key of one row of the answer.
func (a *answer) row(s *driver.Schema, row []sqldriver.Value) {
	if a.failed {
		return
	}
	vals := make([]any, len(a.columns))
	for i, c := range a.columns {
		if c >= len(row) {
			a.failed = true
			return
		}
		vals[i] = row[c]
	}
	key, err := s.MakeKey(vals...)
	if err != nil || len(a.keys) == maxKeys {
		a.failed, a.keys = true, nil
		return
	}
	a.keys = append(a.keys, key)
}

// takesRows reports whether the rows of the statement are worth looking at.
func (e *effect) takesRows() bool {
	for i := range e.tables {
		for j := range e.tables[i].bound {
			if e.tables[i].bound[j].answer != nil {
				return true
			}
		}
	}
	return false
}

// takeRow takes the keys of one row of the statement's answer.
func (e *effect) takeRow(names func() []string, row []sqldriver.Value) {
	for i := range e.tables {
		for j := range e.tables[i].bound {
			b := &e.tables[i].bound[j]
			if b.answer == nil {
				continue
			}
			if b.answer.columns == nil {
				b.answer.locate(names())
			}
			b.answer.row(b.schema, row)
		}
	}
}

// settle takes over the keys of an answer. ended says that it was read to its
// end; of a statement that changes one row, the one is enough.
func (e *effect) settle(ended bool) {
	for i := range e.tables {
		for j := range e.tables[i].bound {
			b := &e.tables[i].bound[j]
			if b.answer != nil && !b.answer.failed && (ended || b.one && len(b.answer.keys) == 1) {
				b.keys, b.known = b.answer.keys, true
			}
		}
	}
}

// nothing makes the effect none: the database says that no row changed.
func (e *effect) nothing() {
	for i := range e.tables {
		for j := range e.tables[i].bound {
			b := &e.tables[i].bound[j]
			b.keys, b.known = nil, true
		}
	}
}

// changes returns the effect for the tables bound when it was found out.
func (e *effect) changes() []driver.Change {
	if e.any {
		return e.bound.everything()
	}
	var out []driver.Change
	for i := range e.tables {
		for j := range e.tables[i].bound {
			b := &e.tables[i].bound[j]
			switch {
			case !b.known:
				out = append(out, driver.Change{Table: b.schema.Table})
			case len(b.keys) > 0:
				out = append(out, driver.Change{Table: b.schema.Table, Keys: append([]driver.Key(nil), b.keys...)})
			}
		}
	}
	return out
}

// addTo adds the effect to the changes of a transaction.
func (e *effect) addTo(c *changeSet) {
	if e.any {
		c.addAny()
		return
	}
	for i := range e.tables {
		t := &e.tables[i]
		if len(t.bound) == 0 {
			c.table(t.name)
		}
		for j := range t.bound {
			if b := &t.bound[j]; b.known {
				c.addKeys(t.name, b.schema.Table, b.keys...)
			} else {
				c.addWhole(t.name)
			}
		}
	}
}

// atomic reports whether at most one row changes, in one table whose rows no
// others show, so that no reader can see a part of it.
func (e *effect) atomic() bool {
	if e.any || len(e.tables) != 1 || len(e.tables[0].bound) != 1 {
		return false
	}
	b := e.tables[0].bound[0]
	return b.one && !b.schema.Shown
}
