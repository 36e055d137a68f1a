package sqltext

import (
	"strings"
	"sync"
)

// Dialect is the SQL that a text is written in.
type Dialect uint8

// The dialects with a grammar, and Other for all the rest: in text of a dialect
// without a grammar, every statement that may write may write any table.
const (
	Other Dialect = iota
	SQLite
	Postgres
	MySQL
)

// String returns the dialect's name.
func (d Dialect) String() string { return [...]string{"other", "sqlite", "postgres", "mysql"}[d] }

// MaxText bounds the SQL text that is parsed, in bytes. Longer text may write
// anything.
const MaxText = 4 << 20

// Effect is one thing that a text does, in the order of the text. Statements
// that only read have no effect.
type Effect uint8

const (
	WriteTable     Effect = iota // writes one table: Op.Write
	WriteAny                     // may write any table
	Begin                        // begins a transaction
	Commit                       // commits
	CommitChain                  // commits and begins the next transaction
	CommitImplicit               // commits an open transaction before it runs (MySQL)
	Rollback                     // rolls back
	RollbackChain                // rolls back and begins the next transaction
	Savepoint                    // sets a savepoint; in SQLite it may begin a transaction
	ReleasePoint                 // releases a savepoint; in SQLite it may commit
	Unknown                      // leaves open whether a transaction is open
	UnknownForGood               // from here on no statement tells whether a transaction is open
)

// Op is one effect of a text.
type Op struct {
	Effect Effect
	Name   string // of the savepoint
	Write  Write  // with WriteTable
}

// Table is a table as SQL text spells it, in lower case. Schema is "" where the
// text names none.
type Table struct{ Schema, Name string }

// Verb is the kind of a write.
type Verb uint8

// The verbs. AnyRow stands for a write of which only the table was understood.
const (
	Insert Verb = iota
	Update
	Delete
	AnyRow
)

// Span is a range of tokens of a [Text]: from Lo up to Hi, Hi left out.
type Span struct{ Lo, Hi int }

// Empty reports whether the span holds no token.
func (s Span) Empty() bool { return s.Lo >= s.Hi }

// Write is one INSERT, UPDATE, DELETE or the like. All spans are of the text
// that the write was parsed from.
type Write struct {
	Verb    Verb
	Target  Table
	Exact   Table  // the target as [Text.Resolved] has its names
	Alias   string // likewise
	Top     bool   // not inside another statement: its rows are the statement's
	Replace bool   // may delete rows that it does not name
	Ignore  bool   // may store another value than it is given (MySQL's IGNORE)

	Columns   Span // INSERT: the names between parentheses
	Values    Span // INSERT: the tuples of VALUES, where these are all its rows
	Ignored   bool // INSERT: the database ignores values given for its identity column
	OnUpdate  bool // INSERT: ON CONFLICT … DO UPDATE, ON DUPLICATE KEY UPDATE
	OnTarget  Span // INSERT: the columns between the parentheses of ON CONFLICT
	Set       Span // UPDATE, and INSERT with OnUpdate: the assignments
	From      Span // UPDATE: the tables after FROM
	Where     Span // UPDATE, DELETE
	Returning Span
}

// anyRow forgets everything but the table.
func (w *Write) anyRow() { *w = Write{Verb: AnyRow, Target: w.Target, Exact: w.Exact, Top: w.Top} }

// Text is a parsed SQL text. It is not safe for concurrent changes; after
// [Parse] nothing changes it but [Text.Release].
type Text struct {
	Source     string
	Dialect    Dialect
	Ops        []Op
	Control    bool // one of the ops is about transactions
	Statements int  // how many statements the text has

	toks  []token
	verbs int // how many verbs that write the grammar has read
}

var pool = sync.Pool{New: func() any { return new(Text) }}

// Release gives the text's memory back. The caller must not use the text or its
// spans afterwards.
func (p *Text) Release() {
	if cap(p.toks) > 1<<14 {
		return
	}
	*p = Text{toks: p.toks[:0], Ops: p.Ops[:0]}
	pool.Put(p)
}

// OnlyReads reports whether a text does nothing but read. It looks at little
// more than the first word, and says false when it is not sure.
func OnlyReads(src string, d Dialect) bool {
	if d == Other {
		return false
	}
	i := 0
	for i < len(src) && (src[i] == ' ' || src[i] == '\n' || src[i] == '\t' || src[i] == '\r') {
		i++
	}
	const word = "SELECT"
	if len(src)-i <= len(word) || !strings.EqualFold(src[i:i+len(word)], word) || isWordPart(src[i+len(word)]) {
		return false
	}
	if d == Postgres && containsFold(src, "into") { // SELECT … INTO makes a table
		return false
	}
	if d == MySQL && strings.Contains(src, "/*") { // a comment may hold text that is executed
		return false
	}
	semicolon := strings.IndexByte(src, ';')
	return semicolon < 0 || strings.TrimSpace(src[semicolon+1:]) == ""
}

// containsFold reports whether s contains the word, which is in lower case.
func containsFold(s, word string) bool {
	for i := 0; i+len(word) <= len(s); i++ {
		if s[i]|0x20 == word[0] && strings.EqualFold(s[i:i+len(word)], word) {
			return true
		}
	}
	return false
}

// Parse says what an SQL text does. It returns nil for a text that only reads.
// The caller may give the result back with [Text.Release].
func Parse(src string, d Dialect) *Text {
	if OnlyReads(src, d) {
		return nil
	}
	p := pool.Get().(*Text)
	p.Source, p.Dialect = src, d
	if len(src) > MaxText {
		return p.unclear()
	}
	var ok bool
	if p.toks, ok = lex(p.toks, src, d); !ok {
		return p.unclear()
	}
	if d == Other {
		return p.coarse()
	}
	for lo := 0; lo < len(p.toks); {
		hi := lo
		for hi < len(p.toks) && (p.toks[hi].depth != 0 || !p.Is(hi, ";")) {
			hi++
		}
		if hi > lo {
			p.Statements++
			if p.definesCode(Span{lo, hi}) {
				// Its body has statements of its own, up to an END that commits nothing.
				if d == MySQL {
					p.add(CommitImplicit)
				}
				p.add(WriteAny)
				if hi+1 < len(p.toks) {
					p.add(Unknown)
				}
				break
			}
			p.statement(Span{lo, hi})
		}
		lo = hi + 1
	}
	return p.finish()
}

// finish returns p, or nil when nothing was found in it.
func (p *Text) finish() *Text {
	if len(p.Ops) == 0 {
		p.Release()
		return nil
	}
	for i := range p.Ops {
		p.Control = p.Control || p.Ops[i].Effect > WriteAny
	}
	return p
}

// coarse judges text of a dialect without a grammar: text with a word that may
// write may write any table.
func (p *Text) coarse() *Text {
	p.Statements = 2
	for i := range p.toks {
		switch {
		case p.Word(i, "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "END", "ABORT", "START", "IMPLICIT_TRANSACTIONS", "AUTOCOMMIT"):
			p.Ops = append(p.Ops[:0], Op{Effect: WriteAny}, Op{Effect: Unknown})
			return p.finish()
		case i == 0 && !p.Word(i, "SELECT", "WITH", "SHOW", "SET"),
			p.Word(i, "INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "TRUNCATE", "CREATE", "ALTER", "DROP", "EXEC", "EXECUTE", "CALL", "INTO"):
			p.Ops = append(p.Ops[:0], Op{Effect: WriteAny})
		}
	}
	return p.finish()
}

// unclear makes the text one that may do anything.
func (p *Text) unclear() *Text {
	p.Ops = append(p.Ops[:0], Op{Effect: WriteAny}, Op{Effect: Unknown})
	p.Control, p.Statements = true, 2
	return p
}

func (p *Text) add(e Effect) { p.Ops = append(p.Ops, Op{Effect: e}) }
