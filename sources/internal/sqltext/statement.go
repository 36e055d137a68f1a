package sqltext

import "strings"

// definesCode reports whether a statement creates or changes a trigger, a
// function or the like, whose body may hold semicolons.
func (p *Text) definesCode(s Span) bool {
	return p.Word(s.Lo, "CREATE", "ALTER") &&
		p.has(s, "TRIGGER", "FUNCTION", "PROCEDURE", "EVENT", "RULE", "PACKAGE")
}

// statement adds what one statement does.
func (p *Text) statement(s Span) {
	ops, verbs := len(p.Ops), p.verbs
	if p.read(s) && p.verbs-verbs == p.countVerbs(s) {
		return
	}
	// Something in the statement was not read. What was read of transactions
	// stands: a wide answer about tables does not make it wrong.
	kept := p.Ops[:ops]
	for _, o := range p.Ops[ops:] {
		if o.Effect > WriteAny {
			kept = append(kept, o)
		}
	}
	p.Ops = kept
	p.add(WriteAny)
}

// read reads one statement of a text. It reports false when it does not
// understand all of it.
func (p *Text) read(s Span) bool {
	if p.Is(s.Lo, "(") {
		return p.query(s)
	}
	if p.toks[s.Lo].kind != Bare {
		return false
	}
	keyword := strings.ToUpper(p.Token(s.Lo))
	if p.Dialect == MySQL && commitsImplicitly[keyword] {
		p.add(CommitImplicit)
	}
	switch keyword {
	case "SELECT", "VALUES", "TABLE":
		return p.query(s)
	case "WITH":
		return p.with(s, true)
	case "INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE":
		return p.dml(s, true)
	case "TRUNCATE":
		return p.truncate(s)
	case "COPY":
		return p.Dialect == Postgres && p.copy(s)
	case "EXPLAIN":
		return p.explain(s)
	case "CREATE":
		// An index changes no rows; other new objects may show or change them.
		return p.Word(s.Lo+1, "INDEX") || p.words(s.Lo+1, "UNIQUE", "INDEX")
	case "DECLARE":
		return p.Dialect == Postgres && p.declare(s)
	case "SET":
		return p.set(s)
	}
	if understood, ok := p.transaction(s, keyword); ok {
		return understood
	}
	if harmless[p.Dialect][keyword] {
		p.verbs += p.countVerbs(s) // GRANT UPDATE, COMMENT … IS, PRAGMA …
		return true
	}
	if p.Dialect == MySQL && !commitsImplicitly[keyword] {
		p.add(Unknown) // a statement that no list knows may commit
	}
	return false
}

// harmless are the first words of statements that change no rows of a table.
var harmless = [...]map[string]bool{
	SQLite: {"PRAGMA": true, "ANALYZE": true, "VACUUM": true, "REINDEX": true},
	Postgres: {
		"SHOW": true, "RESET": true, "ANALYZE": true, "ANALYSE": true, "VACUUM": true, "REINDEX": true, "CLUSTER": true,
		"DISCARD": true, "LISTEN": true, "UNLISTEN": true, "NOTIFY": true, "LOCK": true, "FETCH": true, "MOVE": true,
		"CLOSE": true, "DEALLOCATE": true, "CHECKPOINT": true, "COMMENT": true, "GRANT": true, "REVOKE": true,
	},
	MySQL: {
		"SHOW": true, "DESCRIBE": true, "DESC": true, "USE": true, "ANALYZE": true, "LOCK": true, "UNLOCK": true,
		"GRANT": true, "REVOKE": true, "DEALLOCATE": true, "PREPARE": true, "FLUSH": true,
	},
}

// countVerbs counts the words in the span that may be the verb of a write: what
// can follow such a verb follows them, and nothing says that they are the name
// of a column or a function, or belong to a lock. Each must have been read.
func (p *Text) countVerbs(s Span) int {
	n := 0
	for i := s.Lo; i < s.Hi; i++ {
		if p.isVerb(i, s.Hi) {
			n++
		}
	}
	return n
}

func (p *Text) isVerb(i, hi int) bool {
	if !p.Word(i, "INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE") || p.Is(i-1, ".") || i+1 >= hi {
		return false
	}
	switch p.toks[i+1].kind {
	case Bare, Quoted, Opaque, String:
	default: // a column or a function
		return false
	}
	switch {
	case p.Word(i, "UPDATE"):
		return !p.Word(i-1, "FOR", "KEY", "DO") // FOR UPDATE, FOR NO KEY UPDATE, ON CONFLICT DO UPDATE
	case p.Word(i, "REPLACE"):
		return !p.Word(i-1, "OR") // counted with its INSERT or UPDATE
	}
	return true
}

// query reads a statement that selects. It reports false for SELECT … INTO,
// which makes a table in Postgres.
func (p *Text) query(s Span) bool {
	first := s.Lo
	for first < s.Hi && p.Is(first, "(") {
		first++
	}
	switch {
	case p.Word(first, "WITH") && first > s.Lo: // (WITH … SELECT …): its parts are no writes, or countVerbs finds them
	case !p.Word(first, "SELECT", "VALUES", "TABLE"):
		return false
	}
	return p.Dialect != Postgres || !p.has(s, "INTO")
}

// body reads a statement inside another one: a common table expression, or what
// COPY takes in parentheses.
func (p *Text) body(s Span) bool {
	switch {
	case s.Empty():
		return false
	case p.Is(s.Lo, "("), p.Word(s.Lo, "SELECT", "VALUES", "TABLE"):
		return p.query(s)
	case p.Word(s.Lo, "WITH"):
		return p.with(s, false)
	default:
		return p.Word(s.Lo, "INSERT", "UPDATE", "DELETE", "MERGE") && p.dml(s, false)
	}
}

// with reads WITH [RECURSIVE] name [(columns)] AS [[NOT] MATERIALIZED] (body)
// [SEARCH …] [CYCLE …], … and the statement behind it.
func (p *Text) with(s Span, top bool) bool {
	at := s.Lo + 1
	if p.Word(at, "RECURSIVE") && p.IsName(at+1) && !p.Word(at+1, "AS") {
		at++
	}
	for {
		if !p.IsName(at) {
			return false
		}
		at++
		if p.Is(at, "(") {
			at = p.Closing(at, s.Hi) + 1
		}
		if !p.Word(at, "AS") {
			return false
		}
		at++
		if p.Word(at, "NOT") {
			at++
		}
		if p.Word(at, "MATERIALIZED") {
			at++
		}
		if at >= s.Hi || !p.Is(at, "(") {
			return false
		}
		end := p.Closing(at, s.Hi)
		if end >= s.Hi || !p.body(Span{at + 1, end}) {
			return false
		}
		var ok bool
		if at, ok = p.searchAndCycle(end+1, s.Hi); !ok {
			return false
		}
		if at >= s.Hi || !p.Is(at, ",") {
			break
		}
		at++
	}
	rest := Span{at, s.Hi}
	switch {
	case rest.Empty():
		return false
	case p.Is(at, "("), p.Word(at, "SELECT", "VALUES", "TABLE"):
		return p.query(rest)
	default:
		return p.Word(at, "INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE") && p.dml(rest, top)
	}
}

// searchAndCycle reads the clauses SEARCH {BREADTH|DEPTH} FIRST BY columns SET
// column and CYCLE columns SET column [TO value DEFAULT value] USING column of
// Postgres, if they are there.
func (p *Text) searchAndCycle(at, hi int) (next int, ok bool) {
	if p.Word(at, "SEARCH") {
		if !p.Word(at+1, "BREADTH", "DEPTH") || !p.words(at+2, "FIRST", "BY") {
			return at, false
		}
		if at, ok = p.names(at+4, hi); !ok || !p.Word(at, "SET") || !p.IsName(at+1) {
			return at, false
		}
		at += 2
	}
	if p.Word(at, "CYCLE") {
		if at, ok = p.names(at+1, hi); !ok || !p.Word(at, "SET") || !p.IsName(at+1) {
			return at, false
		}
		at += 2
		if p.Word(at, "TO") && p.Word(at+2, "DEFAULT") { // one literal each
			at += 4
		}
		if !p.Word(at, "USING") || !p.IsName(at+1) {
			return at, false
		}
		at += 2
	}
	return at, true
}

// names reads names with commas between them.
func (p *Text) names(at, hi int) (next int, ok bool) {
	for {
		if at >= hi || !p.IsName(at) {
			return at, false
		}
		at++
		if at >= hi || !p.Is(at, ",") {
			return at, true
		}
		at++
	}
}
