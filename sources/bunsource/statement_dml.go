package bunsource

import (
	"strings"

	"github.com/uptrace/bun/dialect"
)

// dml adds what the data-changing statement at the span writes, from its verb
// on. Statements that only read add nothing.
func (p *parsed) dml(s span, top bool) {
	w := write{top: top}
	at := s.lo + 1
	ok := false
	switch strings.ToUpper(p.text(s.lo)) {
	case "INSERT":
		ok = p.insert(s, at, &w)
	case "REPLACE":
		w.replace = true
		ok = p.insert(s, at, &w)
	case "UPDATE":
		ok = p.update(s, at, &w)
	case "DELETE":
		ok = p.delete(s, at, &w)
	case "MERGE":
		w.verb = verbOther
		if p.word(at, "INTO") {
			at++
		}
		if p.word(at, "ONLY") {
			at++
		}
		_, ok = p.name(at, s.hi, &w.target)
	case "TRUNCATE":
		p.truncate(s)
		return
	case "SELECT", "VALUES", "TABLE":
		return
	}
	if !ok {
		p.add(opAny)
		return
	}
	p.ops = append(p.ops, op{kind: opWrite, write: w})
}

func (p *parsed) insert(s span, at int, w *write) bool {
	w.verb = verbInsert
	for ; at < s.hi && !p.word(at, "INTO"); at++ {
		switch {
		case p.word(at, "REPLACE"):
			w.replace = true
		case p.word(at, "OR", "IGNORE", "LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED", "ABORT", "FAIL", "ROLLBACK"):
		default:
			return false
		}
	}
	at++
	if p.word(at, "TABLE") {
		at++
	}
	at, ok := p.name(at, s.hi, &w.target)
	if !ok {
		return false
	}
	if p.word(at, "AS") {
		w.alias = p.ident(at + 1)
		at += 2
	}
	depth := p.toks[s.lo].depth
	if at < s.hi && p.is(at, "(") && !p.word(at+1, "SELECT", "WITH", "VALUES", "TABLE") && !p.is(at+1, "(") {
		end := p.closing(at, s.hi)
		w.columns = span{at + 1, end}
		at = end + 1
	}
	for at < s.hi && p.word(at, "OVERRIDING", "SYSTEM", "USER", "VALUE") {
		at++
	}
	if at < s.hi && p.word(at, "VALUES") {
		lo := at + 1
		at = lo
		for at < s.hi && (p.is(at, "(") || p.is(at, ",")) {
			if p.is(at, "(") {
				at = p.closing(at, s.hi)
			}
			at++
		}
		w.values = span{lo, at}
	}
	for ; at < s.hi; at++ {
		if p.toks[at].depth != depth {
			continue
		}
		switch {
		case p.word(at, "RETURNING"):
			w.returning = span{at + 1, s.hi}
			return true
		case p.word(at, "ON") && p.word(at+1, "CONFLICT"):
			p.onConflict(at+2, s.hi, w)
		case p.word(at, "ON") && p.word(at+1, "DUPLICATE"):
			w.onUpdate = true
			w.onTarget = span{}
			w.set = span{at + 3, s.hi}
		}
	}
	return true
}

// onConflict reads what follows ON CONFLICT. Where SQLite is given several,
// none of their targets is kept.
func (p *parsed) onConflict(at, hi int, w *write) {
	target := span{}
	if p.is(at, "(") {
		end := p.closing(at, hi)
		target = span{at + 1, end}
		at = end + 1
	}
	depth := p.toks[at-1].depth
	for ; at < hi; at++ {
		if p.toks[at].depth != depth {
			continue
		}
		if p.word(at, "DO") {
			break
		}
		if p.word(at, "WHERE") {
			target = span{} // a partial index says nothing about the key
		}
	}
	if !p.word(at+1, "UPDATE") {
		return
	}
	set := span{at + 3, hi}
	for i := set.lo; i < hi; i++ {
		if p.toks[i].depth == depth && (p.word(i, "RETURNING", "WHERE") || p.word(i, "ON") && p.word(i+1, "CONFLICT")) {
			set.hi = i
			break
		}
	}
	if w.onUpdate { // the second of several
		w.onTarget, w.set = span{}, span{w.set.lo, hi}
		return
	}
	w.onUpdate, w.onTarget, w.set = true, target, set
}

func (p *parsed) update(s span, at int, w *write) bool {
	w.verb = verbUpdate
	if p.word(at, "OR") {
		w.replace = p.word(at+1, "REPLACE")
		at += 2
	}
	for p.word(at, "LOW_PRIORITY", "IGNORE", "ONLY") {
		at++
	}
	after, ok := p.name(at, s.hi, &w.target)
	if !ok {
		return false
	}
	w.alias, at = p.aliasAt(after, s.hi, "SET")
	depth := p.toks[s.lo].depth
	for ; at < s.hi; at++ {
		if p.toks[at].depth != depth {
			continue
		}
		if p.word(at, "SET") {
			break
		}
		if p.is(at, ",") || p.word(at, "JOIN") { // MySQL: several tables, each of which may be set
			other := write{verb: verbOther, top: w.top}
			w.verb = verbOther
			if p.is(at+1, "(") {
				continue
			}
			if _, ok := p.name(at+1, s.hi, &other.target); !ok {
				return false
			}
			p.ops = append(p.ops, op{kind: opWrite, write: other})
		}
	}
	if at >= s.hi {
		return false
	}
	w.set = span{at + 1, s.hi}
	p.clauses(at+1, s.hi, depth, w)
	if !w.where.empty() {
		w.set.hi = w.where.lo
	} else if !w.returning.empty() {
		w.set.hi = w.returning.lo
	}
	return true
}

func (p *parsed) delete(s span, at int, w *write) bool {
	w.verb = verbDelete
	for p.word(at, "LOW_PRIORITY", "QUICK", "IGNORE") {
		at++
	}
	if !p.word(at, "FROM") {
		return false
	}
	at++
	if p.word(at, "ONLY") {
		at++
	}
	at, ok := p.name(at, s.hi, &w.target)
	if !ok || p.dialect == dialect.MySQL && p.is(at, ",") {
		return false
	}
	w.alias, at = p.aliasAt(at, s.hi, "WHERE", "RETURNING", "USING", "ORDER", "LIMIT", "INDEXED", "NOT", "OUTPUT")
	p.clauses(at, s.hi, p.toks[s.lo].depth, w)
	return true
}

func (p *parsed) truncate(s span) {
	at := s.lo + 1
	if p.word(at, "TABLE") {
		at++
	}
	if p.has(s, "CASCADE") {
		p.add(opAny)
		return
	}
	for at < s.hi {
		if p.word(at, "ONLY") {
			at++
		}
		w := write{verb: verbOther, top: true}
		var ok bool
		if at, ok = p.name(at, s.hi, &w.target); !ok {
			p.add(opAny)
			return
		}
		p.ops = append(p.ops, op{kind: opWrite, write: w})
		if !p.is(at, ",") {
			return
		}
		at++
	}
}

// clauses finds WHERE and RETURNING.
func (p *parsed) clauses(at, hi int, depth int32, w *write) {
	for ; at < hi; at++ {
		if p.toks[at].depth != depth || p.toks[at].kind != tokWord {
			continue
		}
		switch {
		case p.word(at, "WHERE"):
			w.where = span{at + 1, hi}
		case p.word(at, "RETURNING"):
			w.returning = span{at + 1, hi}
		case !p.word(at, "ORDER", "LIMIT", "OPTION", "OUTPUT"):
			continue
		}
		if !p.word(at, "WHERE") && w.where.hi == hi && !w.where.empty() {
			w.where.hi = at
		}
		if !w.returning.empty() {
			return
		}
	}
}

// aliasAt reads an alias, with or without AS, unless one of the keywords
// stands there.
func (p *parsed) aliasAt(at, hi int, not ...string) (alias string, next int) {
	if p.is(at, "*") { // Postgres: the table and those that inherit from it
		at++
	}
	if p.word(at, "AS") {
		at++
	} else if at >= hi || p.word(at, not...) || p.word(at, "JOIN", "INNER", "LEFT", "STRAIGHT_JOIN", "USE", "FORCE", "IGNORE", "CROSS", "INDEXED", "PARTITION") {
		return "", at
	}
	if at < hi && (p.toks[at].kind == tokWord || p.toks[at].kind == tokQuoted) {
		return p.ident(at), at + 1
	}
	return "", at
}

// name reads a table's name, with or without schema, and returns where it
// ends.
func (p *parsed) name(at, hi int, t *tableName) (next int, ok bool) {
	var parts [3]string
	n := 0
	for {
		if at >= hi || n == len(parts) || p.toks[at].kind != tokWord && p.toks[at].kind != tokQuoted {
			return at, false
		}
		parts[n] = strings.ToLower(p.ident(at))
		n++
		at++
		if at >= hi || !p.is(at, ".") {
			break
		}
		at++
	}
	t.name = parts[n-1]
	if n > 1 {
		t.schema = parts[n-2]
	}
	return at, true
}

// ident returns the identifier at token i without its quotes.
func (p *parsed) ident(i int) string {
	text := p.text(i)
	if p.toks[i].kind != tokQuoted {
		return text
	}
	open, text := text[0], text[1:len(text)-1]
	if open == '[' {
		return strings.ReplaceAll(text, "]]", "]")
	}
	if strings.IndexByte(text, open) < 0 {
		return text
	}
	return strings.ReplaceAll(text, string(open)+string(open), string(open))
}
