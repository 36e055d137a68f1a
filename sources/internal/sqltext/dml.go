package sqltext

// dml adds what the INSERT, UPDATE, DELETE, REPLACE or MERGE at the span
// writes. It reports false when it cannot even tell the table. A statement that
// is understood no further writes any row of its table.
func (p *Text) dml(s Span, top bool) bool {
	p.verbs++
	w := Write{Top: top}
	at, understood, known := s.Lo+1, false, false
	switch {
	case p.Word(s.Lo, "INSERT"):
		understood, known = p.insert(s, at, &w)
	case p.Word(s.Lo, "REPLACE"):
		w.Replace = true
		understood, known = p.insert(s, at, &w)
	case p.Word(s.Lo, "UPDATE"):
		understood, known = p.update(s, at, &w)
	case p.Word(s.Lo, "DELETE"):
		understood, known = p.delete(s, at, &w)
	default:
		known = p.merge(s, at, &w)
	}
	if !known {
		return false
	}
	if !understood {
		w.anyRow()
	}
	p.Ops = append(p.Ops, Op{Effect: WriteTable, Write: w})
	return true
}

// merge reads MERGE INTO table USING … WHEN … THEN …, which writes any row of
// its table.
func (p *Text) merge(s Span, at int, w *Write) bool {
	if p.Dialect != Postgres || !p.Word(at, "INTO") {
		return false
	}
	at++
	if p.Word(at, "ONLY") {
		at++
	}
	if _, ok := p.table(at, s.Hi, w); !ok {
		return false
	}
	for i := at; i < s.Hi; i++ {
		if p.Word(i-1, "THEN") && p.isVerb(i, s.Hi) {
			p.verbs++
		}
	}
	return true
}

// insert reads an INSERT or REPLACE from behind its verb on.
func (p *Text) insert(s Span, at int, w *Write) (understood, known bool) {
	w.Verb = Insert
	for ; at < s.Hi && !p.Word(at, "INTO"); at++ {
		switch {
		case p.Word(at, "REPLACE"):
			w.Replace = true
		case p.Word(at, "IGNORE") && p.Dialect == MySQL:
			w.Ignore = true
		case p.Word(at, "OR", "IGNORE", "LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED", "ABORT", "FAIL", "ROLLBACK"):
		default:
			return false, false
		}
	}
	at++
	at, ok := p.table(at, s.Hi, w)
	if !ok {
		return false, false
	}
	if p.Word(at, "AS") && p.IsName(at+1) {
		w.Alias = p.Resolved(at + 1)
		at += 2
	}
	if at < s.Hi && p.Is(at, "(") && !p.Word(at+1, "SELECT", "WITH", "VALUES", "TABLE") && !p.Is(at+1, "(") {
		end := p.Closing(at, s.Hi)
		w.Columns = Span{at + 1, end}
		at = end + 1
	}
	if p.words(at, "OVERRIDING", "SYSTEM", "VALUE") {
		at += 3
	} else if p.words(at, "OVERRIDING", "USER", "VALUE") {
		w.Ignored = true
		at += 3
	}
	switch {
	case p.words(at, "DEFAULT", "VALUES"):
		at += 2
	case p.Word(at, "VALUES"):
		end := p.tuples(at+1, s.Hi)
		if p.endsRows(end, s.Hi) {
			w.Values = Span{at + 1, end}
			at = end
			break
		}
		// The tuples are only a part of a query: VALUES … UNION ALL SELECT …
		at = p.behindQuery(end, s.Hi)
	case p.Is(at, "("), p.Word(at, "SELECT", "WITH", "TABLE"):
		at = p.behindQuery(at, s.Hi)
	default:
		return false, true
	}
	return p.behindRows(at, s, w), true
}

// tuples returns the token behind tuples with commas between them.
func (p *Text) tuples(at, hi int) int {
	for at < hi && p.Is(at, "(") {
		at = p.Closing(at, hi) + 1
		if at >= hi || !p.Is(at, ",") {
			return min(at, hi)
		}
		at++
	}
	return hi + 1 // a comma with nothing behind it: no end of rows
}

// endsRows reports whether the rows of an INSERT are over at the token.
func (p *Text) endsRows(at, hi int) bool {
	return at == hi || at < hi && (p.Word(at, "RETURNING") || p.words(at, "ON", "CONFLICT") || p.words(at, "ON", "DUPLICATE") ||
		p.Dialect == MySQL && p.Word(at, "AS"))
}

// behindQuery returns where the query ends that an INSERT takes its rows from.
func (p *Text) behindQuery(at, hi int) int {
	depth := int32(-1)
	for ; at < hi; at++ {
		if depth < 0 {
			depth = p.toks[at].depth
		}
		if p.toks[at].depth == depth && (p.Word(at, "RETURNING") || p.words(at, "ON", "CONFLICT") || p.words(at, "ON", "DUPLICATE")) {
			return at
		}
	}
	return hi
}

// behindRows reads the clauses behind the rows of an INSERT up to its end.
func (p *Text) behindRows(at int, s Span, w *Write) bool {
	if p.Dialect == MySQL && at < s.Hi && p.Word(at, "AS") && p.IsName(at+1) { // names the new row
		if at += 2; at < s.Hi && p.Is(at, "(") {
			at = p.Closing(at, s.Hi) + 1
		}
	}
	for at < s.Hi {
		switch {
		case p.Word(at, "RETURNING"):
			w.Returning = Span{at + 1, s.Hi}
			return p.ends(at) && !w.Returning.Empty()
		case p.words(at, "ON", "CONFLICT"):
			next, ok := p.onConflict(at+2, s, w)
			if !ok {
				return false
			}
			at = next
		case p.words(at, "ON", "DUPLICATE", "KEY", "UPDATE"):
			w.OnUpdate, w.OnTarget, w.Set = true, Span{}, Span{at + 4, s.Hi}
			return !w.Set.Empty() && !p.has(w.Set, "RETURNING")
		default:
			return false
		}
	}
	return true
}

// onConflict reads [(columns) [WHERE …] | ON CONSTRAINT name] DO NOTHING, or
// DO UPDATE SET … [WHERE …]. SQLite allows several of them; then none of their
// targets is kept.
func (p *Text) onConflict(at int, s Span, w *Write) (next int, ok bool) {
	target := Span{}
	depth := p.toks[s.Lo].depth
	switch {
	case p.Is(at, "("):
		end := p.Closing(at, s.Hi)
		target = Span{at + 1, end}
		if at = end + 1; p.Word(at, "WHERE") {
			target = Span{} // a partial index says nothing about the key
			for at < s.Hi && (p.toks[at].depth != depth || !p.Word(at, "DO")) {
				at++
			}
		}
	case p.words(at, "ON", "CONSTRAINT") && p.IsName(at+2):
		at += 3
	}
	if p.words(at, "DO", "NOTHING") {
		return at + 2, true
	}
	if !p.words(at, "DO", "UPDATE", "SET") {
		return at, false
	}
	set := Span{at + 3, at + 3}
	where := false
	for at = set.Lo; at < s.Hi; at++ {
		if p.toks[at].depth != depth {
			continue
		}
		if p.Word(at, "RETURNING") || p.words(at, "ON", "CONFLICT") {
			break
		}
		if p.Word(at, "WHERE") && !where {
			where, set.Hi = true, at
		}
	}
	if !where {
		set.Hi = at
	}
	if set.Empty() {
		return at, false
	}
	if w.OnUpdate { // the second of several
		w.OnTarget, w.Set = Span{}, Span{w.Set.Lo, at}
		return at, true
	}
	w.OnUpdate, w.OnTarget, w.Set = true, target, set
	return at, true
}
