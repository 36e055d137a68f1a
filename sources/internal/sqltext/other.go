package sqltext

// truncate reads TRUNCATE [TABLE] [ONLY] table [*], … [RESTART IDENTITY |
// CONTINUE IDENTITY] [RESTRICT].
func (p *Text) truncate(s Span) bool {
	at := s.Lo + 1
	if p.Word(at, "TABLE") {
		at++
	}
	for {
		if p.Word(at, "ONLY") {
			at++
		}
		w := Write{Verb: AnyRow, Top: true}
		var ok bool
		if at, ok = p.table(at, s.Hi, &w); !ok {
			return false
		}
		if at < s.Hi && p.Is(at, "*") {
			at++
		}
		p.Ops = append(p.Ops, Op{Effect: WriteTable, Write: w})
		if at >= s.Hi || !p.Is(at, ",") {
			break
		}
		at++
	}
	if at < s.Hi && p.Word(at, "RESTART", "CONTINUE") && p.Word(at+1, "IDENTITY") {
		at += 2
	}
	if at < s.Hi && p.Word(at, "RESTRICT") {
		at++
	}
	return at == s.Hi // CASCADE empties other tables too
}

// copy reads Postgres' COPY table [(columns)] {FROM|TO} … and COPY (query) TO ….
func (p *Text) copy(s Span) bool {
	at := s.Lo + 1
	if p.Is(at, "(") {
		end := p.Closing(at, s.Hi)
		return end < s.Hi && p.body(Span{at + 1, end}) && p.Word(end+1, "TO")
	}
	w := Write{Verb: AnyRow, Top: true}
	at, ok := p.table(at, s.Hi, &w)
	if !ok {
		return false
	}
	if at < s.Hi && p.Is(at, "(") {
		at = p.Closing(at, s.Hi) + 1
	}
	switch {
	case p.Word(at, "TO"):
		return true
	case p.Word(at, "FROM"):
		p.Ops = append(p.Ops, Op{Effect: WriteTable, Write: w})
		return true
	}
	return false
}

// explain reads EXPLAIN. Only with ANALYZE is the statement executed, and then
// only a query is known to write nothing.
func (p *Text) explain(s Span) bool {
	if !p.has(s, "ANALYZE", "ANALYSE") {
		p.verbs += p.countVerbs(s)
		return true
	}
	at := s.Lo + 1
	for at < s.Hi && p.Word(at, "ANALYZE", "ANALYSE", "VERBOSE") {
		at++
	}
	if p.Is(at, "(") && !p.Word(at+1, "SELECT", "WITH", "VALUES", "TABLE") && !p.Is(at+1, "(") {
		at = p.Closing(at, s.Hi) + 1
	}
	return at < s.Hi && p.query(Span{at, s.Hi})
}

// declare reads DECLARE name … CURSOR … FOR query.
func (p *Text) declare(s Span) bool {
	for at := s.Lo; at+1 < s.Hi; at++ {
		if p.Word(at, "FOR") {
			return p.query(Span{at + 1, s.Hi})
		}
	}
	return false
}
