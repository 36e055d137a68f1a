package bunsource

import (
	"strings"
	"sync"

	"github.com/uptrace/bun/dialect"
)

// maxStatement bounds, in bytes, the SQL text that is looked into. What is
// longer may write anything.
const maxStatement = 4 << 20

// opKind tells what one statement of an SQL text does, as far as commits are
// concerned. Statements that only read have no op.
type opKind uint8

const (
	opWrite          opKind = iota // writes one table
	opAny                          // may write any table
	opBegin                        // begins a transaction
	opCommit                       // commits
	opCommitChain                  // commits and begins anew
	opCommitImplicit               // commits what is open before it runs (MySQL)
	opRollback                     // rolls back
	opRollbackChain                // rolls back and begins anew
	opSavepoint                    // sets a savepoint; in SQLite it may begin a transaction
	opRelease                      // releases one; in SQLite it may commit
	opUnknown                      // leaves it unknown whether a transaction is open
)

// op is one such effect, in the order of the text.
type op struct {
	kind  opKind
	name  string // of a savepoint
	write write  // of opWrite
}

// tableName is a table as SQL text spells it, in lower case.
type tableName struct{ schema, name string }

type verb uint8

const (
	verbInsert verb = iota
	verbUpdate
	verbDelete
	verbOther // of which nothing is known but the table
)

// span is a range of tokens.
type span struct{ lo, hi int }

func (s span) empty() bool { return s.lo >= s.hi }

// write is one INSERT, UPDATE, DELETE or the like.
type write struct {
	verb    verb
	target  tableName
	alias   string
	top     bool // not inside another statement: its rows are the statement's
	replace bool // may delete rows that it does not name

	columns   span // INSERT: the names between parentheses
	values    span // INSERT: all the tuples of VALUES
	onUpdate  bool // INSERT: ON CONFLICT … DO UPDATE, ON DUPLICATE KEY UPDATE
	onTarget  span // INSERT: the columns between the parentheses of ON CONFLICT
	set       span // UPDATE, and INSERT with onUpdate: the assignments
	where     span // UPDATE, DELETE
	returning span
}

// parsed is an SQL text with its tokens and effects.
type parsed struct {
	src     string
	dialect dialect.Name
	toks    []token
	ops     []op
	control bool // one of the ops is about transactions
	texts   int  // how many statements the text has
}

var parsedPool = sync.Pool{New: func() any { return new(parsed) }}

// release gives the memory of the tokens back. The caller keeps no span.
func (p *parsed) release() {
	if cap(p.toks) > 1<<14 {
		return
	}
	p.src, p.toks, p.ops, p.control, p.texts = "", p.toks[:0], p.ops[:0], false, 0
	parsedPool.Put(p)
}

// onlyReads reports, at the price of a look at the first word, that a text
// does nothing but read. It says false when it is not sure.
func onlyReads(src string) bool {
	i := 0
	for i < len(src) && (src[i] == ' ' || src[i] == '\n' || src[i] == '\t' || src[i] == '\r') {
		i++
	}
	const word = "SELECT"
	if len(src)-i <= len(word) || !strings.EqualFold(src[i:i+len(word)], word) || isWordPart(src[i+len(word)]) {
		return false
	}
	semicolon := strings.IndexByte(src, ';')
	return semicolon < 0 || strings.TrimSpace(src[semicolon+1:]) == ""
}

// parse says what an SQL text writes. It returns nil for a text that only
// reads.
func parse(src string, d dialect.Name) *parsed {
	known := d == dialect.SQLite || d == dialect.PG || d == dialect.MySQL
	if known && onlyReads(src) {
		return nil
	}
	p := parsedPool.Get().(*parsed)
	p.src, p.dialect = src, d
	if len(src) > maxStatement {
		p.unclear()
		return p
	}
	var ok bool
	if p.toks, ok = lex(p.toks, src, d); !ok {
		p.unclear()
		return p
	}
	if !known {
		return p.coarse()
	}
	for lo := 0; lo < len(p.toks); {
		hi := lo
		for hi < len(p.toks) && !(p.toks[hi].depth == 0 && p.is(hi, ";")) {
			hi++
		}
		if hi > lo {
			p.texts++
			if p.definesCode(span{lo, hi}) {
				// The body has statements of its own, up to an END that commits nothing.
				p.add(opAny)
				if hi+1 < len(p.toks) {
					p.add(opUnknown)
				}
				break
			}
			p.statement(span{lo, hi})
		}
		lo = hi + 1
	}
	return p.finish()
}

// finish returns p, or nil when nothing was found in it.
func (p *parsed) finish() *parsed {
	if len(p.ops) == 0 {
		p.release()
		return nil
	}
	for i := range p.ops {
		p.control = p.control || p.ops[i].kind > opAny
	}
	return p
}

// coarse judges text of a dialect that is not known well: what has a word in
// it that may write is taken to write any table.
func (p *parsed) coarse() *parsed {
	p.texts = 2
	for i := range p.toks {
		switch {
		case p.word(i, "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "END", "ABORT", "START", "IMPLICIT_TRANSACTIONS", "AUTOCOMMIT"):
			p.ops = append(p.ops[:0], op{kind: opAny}, op{kind: opUnknown})
			return p.finish()
		case i == 0 && !p.word(i, "SELECT", "WITH", "SHOW", "SET"),
			p.word(i, "INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "TRUNCATE", "CREATE", "ALTER", "DROP", "EXEC", "EXECUTE", "CALL"):
			p.ops = append(p.ops[:0], op{kind: opAny})
		}
	}
	return p.finish()
}

// definesCode reports whether a statement creates a trigger, a function or a
// procedure.
func (p *parsed) definesCode(s span) bool {
	if !p.word(s.lo, "CREATE") {
		return false
	}
	for i := s.lo + 1; i < min(s.hi, s.lo+8); i++ {
		if p.word(i, "TRIGGER", "FUNCTION", "PROCEDURE", "EVENT", "RULE") {
			return true
		}
	}
	return false
}

// unclear makes the text one that may do anything.
func (p *parsed) unclear() {
	p.ops = append(p.ops[:0], op{kind: opAny}, op{kind: opUnknown})
	p.control, p.texts = true, 2
}

func (p *parsed) text(i int) string { return p.src[p.toks[i].pos:p.toks[i].end] }

// is reports whether token i is the given punctuation or operator.
func (p *parsed) is(i int, s string) bool {
	return i < len(p.toks) && (p.toks[i].kind == tokPunct || p.toks[i].kind == tokOp) && p.text(i) == s
}

// word reports whether token i is the given keyword, in upper case.
func (p *parsed) word(i int, keywords ...string) bool {
	if i >= len(p.toks) || p.toks[i].kind != tokWord {
		return false
	}
	text := p.text(i)
	for _, k := range keywords {
		if len(k) == len(text) && strings.EqualFold(text, k) {
			return true
		}
	}
	return false
}

func (p *parsed) add(kind opKind) { p.ops = append(p.ops, op{kind: kind}) }

// statement adds what one statement does.
func (p *parsed) statement(s span) {
	p.nested(s)
	first := s.lo
	for first < s.hi && p.is(first, "(") {
		first++
	}
	if first >= s.hi || p.toks[first].kind != tokWord {
		p.add(opAny)
		return
	}
	keyword := strings.ToUpper(p.text(first))
	if p.dialect == dialect.MySQL && implicitlyCommits[keyword] {
		p.add(opCommitImplicit)
	}
	switch keyword {
	case "WITH":
		if main := p.mainOfWith(span{first, s.hi}); main < s.hi {
			p.dml(span{main, s.hi}, true)
		} else {
			p.add(opAny)
		}
	case "INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE", "TRUNCATE":
		p.dml(span{first, s.hi}, true)
	case "EXPLAIN":
		p.explain(span{first, s.hi})
	case "CREATE":
		// An index changes no rows; what else is created may show or change them.
		if !p.word(first+1, "INDEX") && !(p.word(first+1, "UNIQUE") && p.word(first+2, "INDEX")) {
			p.add(opAny)
		}
	case "COPY":
		p.copyFrom(span{first, s.hi})
	default:
		if !p.transaction(span{first, s.hi}, keyword) && !harmless[keyword] {
			p.add(opAny)
		}
	}
}

// harmless are the first words of statements that change no rows.
var harmless = map[string]bool{
	"SELECT": true, "VALUES": true, "TABLE": true, "SHOW": true, "DESCRIBE": true, "DESC": true, "SET": true,
	"RESET": true, "PRAGMA": true, "ANALYZE": true, "VACUUM": true, "REINDEX": true, "LISTEN": true,
	"UNLISTEN": true, "NOTIFY": true, "LOCK": true, "DECLARE": true, "FETCH": true, "MOVE": true, "CLOSE": true,
	"DEALLOCATE": true, "CHECKPOINT": true, "COMMENT": true, "GRANT": true, "REVOKE": true, "USE": true,
	"CLUSTER": true, "DISCARD": true, "ATTACH": true, "UNLOCK": true, "PREPARE": true,
}

// nested adds the writes in the parentheses of a statement: those of its
// common table expressions.
func (p *parsed) nested(s span) {
	for i := s.lo; i+2 < s.hi; i++ {
		if !p.is(i, "(") || !p.word(i+1, "INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE") {
			continue
		}
		switch p.toks[i+2].kind {
		case tokWord, tokQuoted, tokOpaque:
			p.dml(span{i + 1, p.closing(i, s.hi)}, false)
		}
	}
}

// closing returns the place of the parenthesis that closes the one at open,
// or hi.
func (p *parsed) closing(open, hi int) int {
	for i := open + 1; i < hi; i++ {
		if p.toks[i].depth == p.toks[open].depth && p.is(i, ")") {
			return i
		}
	}
	return hi
}

// mainOfWith returns where the statement begins that follows the common table
// expressions, or s.hi.
func (p *parsed) mainOfWith(s span) int {
	depth := p.toks[s.lo].depth
	for i := s.lo + 1; i < s.hi; i++ {
		if p.toks[i].depth == depth && p.is(i-1, ")") &&
			p.word(i, "SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE", "VALUES", "TABLE") {
			return i
		}
		if p.toks[i].depth == depth && p.is(i, "(") && p.is(i-1, ")") {
			return i + 1 // WITH … (SELECT …)
		}
	}
	return s.hi
}

func (p *parsed) explain(s span) {
	if !p.has(s, "ANALYZE") && !p.has(s, "ANALYSE") {
		return
	}
	for _, k := range []string{"INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "EXECUTE", "CREATE", "REFRESH"} {
		if p.has(s, k) {
			p.add(opAny)
			return
		}
	}
}

// copyFrom adds what Postgres' COPY writes.
func (p *parsed) copyFrom(s span) {
	w := write{verb: verbOther, top: true}
	i, ok := p.name(s.lo+1, s.hi, &w.target)
	if !ok {
		return // COPY (SELECT …) TO
	}
	if p.is(i, "(") {
		i = p.closing(i, s.hi) + 1
	}
	if i < s.hi && p.word(i, "FROM") {
		p.ops = append(p.ops, op{kind: opWrite, write: w})
	}
}
