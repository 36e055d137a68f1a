package bunsource

import (
	"math"
	"strconv"
	"strings"

	"github.com/uptrace/bun/dialect"
)

// tokenKind tells what a token of SQL text is.
type tokenKind uint8

const (
	tokWord   tokenKind = iota // an identifier or keyword without quotes
	tokQuoted                  // a quoted identifier
	tokString                  // a plain string literal, nothing in it escaped but its quotes
	tokBlob                    // X'…'
	tokNumber
	tokParam  // $1, ?, :name
	tokPunct  // one of ( ) , ; . [ ]
	tokOp     // an operator, such as = or ::
	tokOpaque // a literal or a name that is not looked into
)

// token is a piece of SQL text: its place in the text, and how many
// parentheses are open around it. An opening parenthesis and its closing one
// have the depth outside them.
type token struct {
	pos, end int32
	depth    int32
	param    int32 // of a tokParam: the ordinal of its argument, 0 when it has a name
	kind     tokenKind
}

// lexer cuts SQL text into tokens. It knows where dialects differ in what is
// a string, a name or a comment; for a dialect that it does not know it
// follows the standard and Postgres.
type lexer struct {
	src     string
	pos     int
	depth   int32
	params  int32 // the plain question marks so far
	dialect dialect.Name
}

// lex appends the tokens of the text to toks. It gives up, with false, on
// text whose meaning depends on what it cannot know, and on parentheses that
// do not match.
func lex(toks []token, src string, d dialect.Name) ([]token, bool) {
	l := lexer{src: src, dialect: d}
	for {
		ok := l.skipSpace()
		if !ok {
			return toks, false
		}
		if l.pos >= len(src) {
			return toks, l.depth == 0
		}
		start := l.pos
		kind := l.scan()
		t := token{pos: int32(start), end: int32(l.pos), depth: l.depth, kind: kind} // #nosec G115 -- the text's length is bounded by maxStatement
		switch kind {
		case tokParam:
			t.param = l.ordinal(src[start:l.pos])
		case tokPunct:
			switch src[start] {
			case '(':
				l.depth++
			case ')':
				if l.depth--; l.depth < 0 {
					return toks, false
				}
				t.depth = l.depth
			}
		}
		toks = append(toks, t)
	}
}

// ordinal returns which argument a parameter stands for. Question marks are
// not counted beside numbered ones, where each database has its own rule.
func (l *lexer) ordinal(text string) int32 {
	if text == "?" {
		l.params++
		return l.params
	}
	n, err := strconv.ParseInt(text[1:], 10, 32)
	if err != nil || text[0] != '$' || l.dialect != dialect.PG {
		l.params = math.MinInt32 / 2
		return 0
	}
	return int32(n)
}

// skipSpace skips white space and comments. It reports false for a comment
// that MySQL executes.
func (l *lexer) skipSpace() bool {
	for l.pos < len(l.src) {
		c := l.src[l.pos]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
			l.pos++
		case c == '-' && l.at(1) == '-' && (l.dialect != dialect.MySQL || l.at(2) <= ' '):
			l.skipLine()
		case c == '#' && l.dialect == dialect.MySQL:
			l.skipLine()
		case c == '/' && l.at(1) == '*':
			if l.dialect == dialect.MySQL && (l.at(2) == '!' || l.at(2) == 'M' && l.at(3) == '!') {
				return false
			}
			l.skipComment()
		default:
			return true
		}
	}
	return true
}

func (l *lexer) at(n int) byte {
	if l.pos+n < len(l.src) {
		return l.src[l.pos+n]
	}
	return 0
}

func (l *lexer) skipLine() {
	if i := strings.IndexByte(l.src[l.pos:], '\n'); i >= 0 {
		l.pos += i + 1
		return
	}
	l.pos = len(l.src)
}

// skipComment skips a comment in /* */, which Postgres and SQL Server nest.
func (l *lexer) skipComment() {
	nests := l.dialect != dialect.SQLite && l.dialect != dialect.MySQL && l.dialect != dialect.Oracle
	open := 0
	for l.pos < len(l.src) {
		switch {
		case l.src[l.pos] == '/' && l.at(1) == '*' && (nests || open == 0):
			open++
			l.pos += 2
		case l.src[l.pos] == '*' && l.at(1) == '/':
			open--
			l.pos += 2
			if open == 0 {
				return
			}
		default:
			l.pos++
		}
	}
}

// scan consumes one token, which is not empty, and returns its kind.
func (l *lexer) scan() tokenKind {
	c := l.src[l.pos]
	switch {
	case c == '\'':
		return l.quoted('\'', l.dialect == dialect.MySQL)
	case c == '"':
		if l.dialect == dialect.MySQL {
			l.quoted('"', true)
			return tokOpaque // a string, or in ANSI mode a name
		}
		return l.closed('"', tokQuoted)
	case c == '`':
		return l.closed('`', tokQuoted)
	case c == '[' && l.dialect != dialect.PG && l.dialect != dialect.MySQL:
		return l.closed(']', tokQuoted)
	case c == '(' || c == ')' || c == ',' || c == ';' || c == '[' || c == ']':
		l.pos++
		return tokPunct
	case isDigit(c) || c == '.' && isDigit(l.at(1)):
		l.number()
		return tokNumber
	case c == '.':
		l.pos++
		return tokPunct
	case isWordStart(c):
		return l.word()
	case c == '$':
		return l.dollar()
	case c == '?' && l.dialect != dialect.PG:
		l.pos++
		for isDigit(l.at(0)) {
			l.pos++
		}
		return tokParam
	case c == ':' && l.at(1) == ':':
		l.pos += 2
		return tokOp
	case c == ':' && isWordStart(l.at(1)), c == '@' && (isWordStart(l.at(1)) || l.at(1) == '@'):
		l.pos += 2
		for isWordPart(l.at(0)) {
			l.pos++
		}
		return tokParam
	}
	l.operator()
	return tokOp
}

// quoted consumes text up to the closing quote; a doubled quote is part of
// it.
func (l *lexer) quoted(quote byte, backslash bool) tokenKind {
	kind := tokString
	l.pos++
	for l.pos < len(l.src) {
		c := l.src[l.pos]
		switch {
		case c == '\\' && backslash:
			kind = tokOpaque
			l.pos += 2
		case c == quote && l.at(1) == quote:
			l.pos += 2
		case c == quote:
			l.pos++
			return kind
		default:
			l.pos++
		}
	}
	l.pos = len(l.src)
	return tokOpaque
}

// closed consumes a quoted token and returns its kind, if it has an end.
func (l *lexer) closed(quote byte, kind tokenKind) tokenKind {
	if l.quoted(quote, false) == tokOpaque {
		return tokOpaque
	}
	return kind
}

func (l *lexer) number() {
	for l.pos < len(l.src) {
		c := l.src[l.pos]
		sign := (c == '+' || c == '-') && l.src[l.pos-1]|0x20 == 'e' && l.pos >= 2 && (isDigit(l.src[l.pos-2]) || l.src[l.pos-2] == '.')
		if !isWordPart(c) && c != '.' && !sign || c == '$' {
			return
		}
		l.pos++
	}
}

// word consumes a word, or the literal or name whose prefix it is.
func (l *lexer) word() tokenKind {
	start := l.pos
	for isWordPart(l.at(0)) {
		l.pos++
	}
	switch l.pos - start {
	case 1:
		if l.at(0) == '\'' {
			switch l.src[start] | 0x20 {
			case 'e':
				l.quoted('\'', true)
				return tokOpaque
			case 'x':
				return l.closed('\'', tokBlob)
			case 'b', 'n':
				l.quoted('\'', l.dialect == dialect.MySQL)
				return tokOpaque
			}
		}
		if l.src[start]|0x20 == 'u' && l.at(0) == '&' && (l.at(1) == '\'' || l.at(1) == '"') {
			quote := l.at(1)
			l.pos++
			l.quoted(quote, false)
			return tokOpaque
		}
	}
	return tokWord
}

// dollar consumes a parameter ($1, $name) or a string in dollar quotes.
func (l *lexer) dollar() tokenKind {
	i := 1
	if isDigit(l.at(i)) {
		for isDigit(l.at(i)) {
			i++
		}
		l.pos += i
		return tokParam
	}
	for isWordPart(l.at(i)) && l.at(i) != '$' {
		i++
	}
	if l.at(i) != '$' || l.dialect == dialect.SQLite || l.dialect == dialect.MySQL {
		l.pos += i
		return tokParam
	}
	tag := l.src[l.pos : l.pos+i+1]
	l.pos += len(tag)
	if end := strings.Index(l.src[l.pos:], tag); end >= 0 {
		l.pos += end + len(tag)
	} else {
		l.pos = len(l.src)
	}
	return tokOpaque
}

const opChars = "+-*/<>=~!@#%^&|?:"

// operator consumes an operator as Postgres cuts them: the longest run of
// operator characters, which does not end in a sign unless one of the
// characters is among ~!@#%^&|?.
func (l *lexer) operator() {
	start := l.pos
	l.pos++
	for l.pos < len(l.src) && strings.IndexByte(opChars, l.src[l.pos]) >= 0 {
		c, next := l.src[l.pos], l.at(1)
		if c == '-' && next == '-' || c == '/' && next == '*' || c == '?' && l.dialect != dialect.PG ||
			(c == ':' || c == '@') && isWordStart(next) {
			break
		}
		l.pos++
	}
	if strings.ContainsAny(l.src[start:l.pos], "~!@#%^&|?") {
		return
	}
	for l.pos-start > 1 && (l.src[l.pos-1] == '+' || l.src[l.pos-1] == '-') {
		l.pos--
	}
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWordStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

func isWordPart(c byte) bool { return isWordStart(c) || isDigit(c) || c == '$' }
