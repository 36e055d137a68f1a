package keyproof

import (
	"database/sql"
	sqldriver "database/sql/driver"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/internal/sqltext"
)

// Effect says which tables and rows a statement may change. [Of] makes it before the
// statement runs; [Effect.Learn], [Effect.TakeRow] and [Effect.Settle] make it more
// precise when the database answers. It is not safe for concurrent use.
type Effect struct {
	any    bool
	tables []tableEffect
	// counted: the statement has a single write, so that a count of 0 rows means
	// that nothing changed.
	counted bool
}

// tableEffect is the effect on one table, as the statement spells it.
type tableEffect struct {
	name  sqltext.Table
	bound []boundEffect // per bound table that the name stands for
}

// boundEffect is the effect on a bound table.
type boundEffect struct {
	schema *driver.Schema
	proof
	answer    *answer // how the statement's rows tell the keys, or nil
	generated bool    // one row was inserted, with a key that the database makes
}

// Of returns the effect of a parsed text. match returns the bound tables that
// a table's name may mean. Of does not keep p or args.
func Of(p *sqltext.Text, match func(sqltext.Table) []*driver.Schema, args []sqldriver.NamedValue) Effect {
	e := Effect{}
	writes := 0
	for i := range p.Ops {
		switch p.Ops[i].Effect {
		case sqltext.WriteAny:
			e.any = true
		case sqltext.WriteTable:
			writes++
			w := &p.Ops[i].Write
			te := tableEffect{name: w.Target}
			for _, s := range match(w.Target) {
				te.bound = append(te.bound, boundEffectOf(p, w, s, args))
			}
			e.tables = append(e.tables, te)
		}
	}
	// With several writes in one text, the answer may belong to any of them.
	alone := writes == 1 && len(p.Ops) == 1 && p.Statements == 1
	w := &sqltext.Write{}
	if alone {
		w = &p.Ops[0].Write
	}
	if !alone || !w.Top || w.Replace || w.Verb == sqltext.AnyRow {
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

func boundEffectOf(p *sqltext.Text, w *sqltext.Write, s *driver.Schema, args []sqldriver.NamedValue) boundEffect {
	e := boundEffect{schema: s}
	r, ok := newKeyReader(p, w, s, args)
	if !ok {
		return e
	}
	e.proof = r.prove()
	if e.known || w.Replace {
		return e
	}
	if _, assigned := r.assigned(); assigned {
		return e // the old keys are not in the answer
	}
	if !w.Returning.Empty() {
		e.answer = r.answer()
	} else if e.one && !w.OnUpdate && (p.Dialect == sqltext.SQLite || p.Dialect == sqltext.MySQL) {
		e.generated = r.generates()
	}
	return e
}

// AddAny makes the effect one on every table.
func (e *Effect) AddAny() { e.any = true }

// Any reports whether every table may change.
func (e *Effect) Any() bool { return e.any }

// Counted reports whether the affected rows that the database counts are those
// of the statement's only write.
func (e *Effect) Counted() bool { return e.counted }

// Writes reports whether anything may change, bound or not.
func (e *Effect) Writes() bool { return e.any || len(e.tables) > 0 }

// Each calls f for each table that may change, with its name as the statement spells
// it. known says that only rows with the keys may change. s is nil if no bound table
// has the name. Each does not cover [Effect.Any].
func (e *Effect) Each(f func(name sqltext.Table, s *driver.Schema, keys []driver.Key, known bool)) {
	for i := range e.tables {
		t := &e.tables[i]
		if len(t.bound) == 0 {
			f(t.name, nil, nil, false)
		}
		for j := range t.bound {
			f(t.name, t.bound[j].schema, t.bound[j].keys, t.bound[j].known)
		}
	}
}

// Changes returns the changes of the bound tables that [Effect.Each] tells. Each
// call makes slices of its own.
func (e *Effect) Changes() []driver.Change {
	var out []driver.Change
	e.Each(func(_ sqltext.Table, s *driver.Schema, keys []driver.Key, known bool) {
		switch {
		case s == nil:
		case !known:
			out = append(out, driver.Change{Table: s.Table})
		case len(keys) > 0:
			out = append(out, driver.Change{Table: s.Table, Keys: append([]driver.Key(nil), keys...)})
		}
	})
	return out
}

// Atomic reports whether at most one row changes, and rows of other tables do not
// show it. Then no reader can see half of the change.
func (e *Effect) Atomic() bool {
	if e.any || len(e.tables) != 1 || len(e.tables[0].bound) != 1 {
		return false
	}
	b := e.tables[0].bound[0]
	return b.one && !b.schema.Shown
}

// Learn learns from the driver's result that no row changed, or which key the
// database has generated. autoIncrements reports whether the database generates the
// keys of a table.
func (e *Effect) Learn(autoIncrements func(driver.Table) bool, res sql.Result) {
	if res == nil || !e.counted {
		return
	}
	n, err := res.RowsAffected()
	switch {
	case err != nil:
		return
	case n == 0:
		e.nothing()
		return
	case n != 1:
		return
	}
	for b := range e.bound {
		if !b.generated || !autoIncrements(b.schema.Table) {
			continue
		}
		id, err := res.LastInsertId()
		if err != nil || id == 0 {
			return
		}
		if key, err := b.schema.MakeKey(value.Int(id)); err == nil {
			b.keys, b.known = []driver.Key{key}, true
		}
	}
}

// SetKeys sets the keys of bound tables whose keys are not known, if keys returns
// them.
func (e *Effect) SetKeys(keys func(*driver.Schema) ([]driver.Key, bool)) {
	for b := range e.bound {
		if b.known {
			continue
		}
		if k, ok := keys(b.schema); ok {
			b.keys, b.known = k, true
		}
	}
}

// nothing clears the effect: the database says that no row changed.
func (e *Effect) nothing() {
	for b := range e.bound {
		b.keys, b.known = nil, true
	}
}

// bound iterates over the effects on bound tables.
func (e *Effect) bound(yield func(*boundEffect) bool) {
	for i := range e.tables {
		for j := range e.tables[i].bound {
			if !yield(&e.tables[i].bound[j]) {
				return
			}
		}
	}
}
