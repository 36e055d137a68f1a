package sqltext

// update reads an UPDATE from behind its verb on.
func (p *Text) update(s Span, at int, w *Write) (understood, known bool) {
	w.Verb = Update
	if p.Word(at, "OR") {
		w.Replace = p.Word(at+1, "REPLACE")
		if !p.Word(at+1, "REPLACE", "ABORT", "FAIL", "IGNORE", "ROLLBACK") {
			return false, false
		}
		at += 2
	}
	for p.Dialect == MySQL && p.Word(at, "LOW_PRIORITY", "IGNORE") {
		w.Ignore = w.Ignore || p.Word(at, "IGNORE")
		at++
	}
	if p.Dialect == Postgres && p.Word(at, "ONLY") {
		at++
	}
	at, ok := p.table(at, s.Hi, w)
	if !ok {
		return false, false
	}
	if at, ok = p.alias(at, s.Hi, w, "SET"); !ok || !p.Word(at, "SET") {
		if p.Dialect == MySQL {
			return p.updateSeveral(s, at, w)
		}
		return false, true
	}
	return p.clauses(at, s, w), true
}

// updateSeveral reads the tables of MySQL's UPDATE over several tables, each of
// which may be set.
func (p *Text) updateSeveral(s Span, at int, w *Write) (understood, known bool) {
	depth := p.toks[s.Lo].depth
	for ; at < s.Hi; at++ {
		if p.toks[at].depth != depth {
			continue
		}
		switch {
		case p.Word(at, "SET"):
			return false, true
		case p.Is(at, ","), p.Word(at, "JOIN", "STRAIGHT_JOIN"):
			other := Write{Verb: AnyRow, Top: w.Top}
			next, ok := p.table(at+1, s.Hi, &other)
			if !ok {
				return false, false // in parentheses, tables that may be set as well
			}
			p.Ops = append(p.Ops, Op{Effect: WriteTable, Write: other})
			at = next - 1
		}
	}
	return false, false
}

// delete reads a DELETE from behind its verb on.
func (p *Text) delete(s Span, at int, w *Write) (understood, known bool) {
	w.Verb = Delete
	for p.Dialect == MySQL && p.Word(at, "LOW_PRIORITY", "QUICK", "IGNORE") {
		at++
	}
	if !p.Word(at, "FROM") {
		return false, false
	}
	at++
	if p.Dialect == Postgres && p.Word(at, "ONLY") {
		at++
	}
	at, ok := p.table(at, s.Hi, w)
	if !ok {
		return false, false
	}
	at, ok = p.alias(at, s.Hi, w, "WHERE", "RETURNING", "USING", "ORDER", "LIMIT", "INDEXED", "NOT", "FOR", "PARTITION")
	if p.Dialect == MySQL && (at < s.Hi && p.Is(at, ",") || p.has(Span{at, s.Hi}, "USING")) {
		return false, false // of several tables, under names of their own
	}
	if !ok {
		return false, true
	}
	if p.words(at, "INDEXED", "BY") {
		at += 3
	} else if p.words(at, "NOT", "INDEXED") {
		at += 2
	}
	return p.clauses(at, s, w), true
}

// clauses reads [SET …] [FROM … | USING …] [WHERE …] [ORDER BY …] [LIMIT …]
// [RETURNING …] in this order, each once, up to the end of the statement.
func (p *Text) clauses(at int, s Span, w *Write) bool {
	var skipped Span // of ORDER BY and LIMIT
	order := []struct {
		keywords []string
		span     *Span
	}{
		{[]string{"SET"}, &w.Set},
		{[]string{"FROM", "USING"}, &w.From},
		{[]string{"WHERE"}, &w.Where},
		{[]string{"ORDER"}, &skipped},
		{[]string{"LIMIT"}, &skipped},
		{[]string{"RETURNING"}, &w.Returning},
	}
	depth := p.toks[s.Lo].depth
	var open *Span
	for next := 0; at < s.Hi; at++ {
		if p.toks[at].depth != depth {
			if open == nil {
				return false
			}
			continue
		}
		found := -1
		for i, c := range order {
			if p.Word(at, c.keywords...) && !p.Is(at-1, ".") {
				found = i
			}
		}
		switch {
		case found < 0 && open == nil:
			return false // the statement goes on with a clause that is not known
		case found < 0:
			continue
		case p.words(at-1, "DISTINCT", "FROM"), found == 1 && open == &w.From:
			continue // IS DISTINCT FROM; JOIN … USING (…)
		case found < next || !p.ends(at):
			return false
		}
		if open != nil {
			open.Hi = at
			if open.Empty() {
				return false
			}
		}
		open, next = order[found].span, found+1
		*open = Span{at + 1, s.Hi}
	}
	return open == nil || !open.Empty()
}

// ends reports whether the token, a keyword, may begin a clause: an expression or a
// name ends before it, and the token behind it continues neither. Some databases
// also allow some of these keywords as names of columns.
func (p *Text) ends(at int) bool {
	operand := []string{"AND", "OR", "XOR", "NOT", "IN", "IS", "LIKE", "BETWEEN", "GLOB", "REGEXP", "MATCH", "ESCAPE", "COLLATE", "THEN", "ELSE", "WHEN", "CASE", "ILIKE", "SIMILAR"}
	if p.toks[at-1].kind == Operator && !p.Is(at-1, "*") || p.Is(at-1, ",") || p.Word(at-1, operand...) {
		return false
	}
	if at+1 >= len(p.toks) {
		return true
	}
	if p.toks[at+1].kind == Operator {
		return p.Is(at+1, "*") || p.Is(at+1, "-") || p.Is(at+1, "+") || p.Is(at+1, "~")
	}
	return !p.Is(at+1, ",") && !p.Is(at+1, ".") && (p.Word(at+1, "NOT", "CASE") || !p.Word(at+1, operand...))
}

// alias reads the alias of a table, with or without AS. It reports false when
// the name stands where none may.
func (p *Text) alias(at, hi int, w *Write, behind ...string) (next int, ok bool) {
	if p.Dialect == Postgres && at < hi && p.Is(at, "*") { // the table and those that inherit from it
		at++
	}
	switch {
	case at >= hi:
		return hi, true
	case p.Word(at, "AS"):
		at++
		if at >= hi || !p.IsName(at) {
			return at, false
		}
	case p.Word(at, behind...), !p.IsName(at):
		return at, true
	case p.Dialect == MySQL && p.Word(at, "JOIN", "INNER", "LEFT", "RIGHT", "NATURAL", "STRAIGHT_JOIN", "USE", "FORCE", "IGNORE", "CROSS", "PARTITION"):
		return at, true
	case p.Word(at, "FOR", "INDEXED", "NOT"):
		return at, true
	}
	w.Alias = p.Resolved(at)
	return at + 1, true
}
