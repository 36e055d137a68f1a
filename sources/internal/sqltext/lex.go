package sqltext

import (
	"math"
	"strconv"
	"strings"
)

// Kind is the kind of a token.
type Kind uint8

// The kinds of tokens.
const (
	Bare     Kind = iota // an identifier or keyword without quotes
	Quoted               // a quoted identifier
	String               // a plain string literal, nothing in it escaped but its quotes
	Blob                 // X'…'
	Number               // digits, with or without point and exponent
	Param                // $1, ?, :name
	Punct                // one of ( ) , ; . [ ]
	Operator             // such as = or ::
	Opaque               // a literal or name whose value the lexer does not read
)

// token is a piece of SQL text: its place in the text, and how many
// parentheses are open around it. An opening parenthesis and its closing one
// have the depth outside them.
type token struct {
	pos, end int32
	depth    int32
	param    int32 // of a Param: the ordinal of its argument, 0 when it has a name
	kind     Kind
}

// lexer cuts SQL text into tokens. It knows where dialects differ in what is
// a string, a name or a comment. In other dialects it follows the standard and
// Postgres. Of Postgres it takes standard_conforming_strings to be on, as it has
// been by default since 9.1.
type lexer struct {
	src     string
	pos     int
	depth   int32
	params  int32 // the plain question marks so far
	dialect Dialect

	ambiguous bool // where a string ends depends on a setting of the session
}

// lex appends the tokens of the text to toks. It gives up, with false, on
// text whose meaning depends on what it cannot know, and on parentheses that
// do not match.
func lex(toks []token, src string, d Dialect) ([]token, bool) {
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
		if l.ambiguous {
			return toks, false
		}
		t := token{pos: int32(start), end: int32(l.pos), depth: l.depth, kind: kind} // #nosec G115 -- the text's length is bounded by MaxText
		switch kind {
		case Param:
			t.param = l.ordinal(src[start:l.pos])
		case Punct:
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
	if err != nil || text[0] != '$' || l.dialect != Postgres {
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
		case c == '-' && l.at(1) == '-' && (l.dialect != MySQL || l.at(2) <= ' '):
			l.skipLine()
		case c == '#' && l.dialect == MySQL:
			l.skipLine()
		case c == '/' && l.at(1) == '*':
			if l.dialect == MySQL && (l.at(2) == '!' || l.at(2) == 'M' && l.at(3) == '!') {
				return false
			}
			if !l.skipComment() {
				return false
			}
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

// skipComment skips a comment in /* */. Postgres nests comments, SQLite and
// MySQL do not; of other dialects it is not known, so that it reports false for
// a comment within a comment.
func (l *lexer) skipComment() bool {
	open := 0
	for l.pos < len(l.src) {
		switch {
		case l.src[l.pos] == '/' && l.at(1) == '*' && (open == 0 || l.dialect == Postgres || l.dialect == Other):
			if open++; open > 1 && l.dialect == Other {
				return false
			}
			l.pos += 2
		case l.src[l.pos] == '*' && l.at(1) == '/':
			open--
			l.pos += 2
			if open == 0 {
				return true
			}
		default:
			l.pos++
		}
	}
	return true
}

// scan consumes one token, which is not empty, and returns its kind.
func (l *lexer) scan() Kind {
	c := l.src[l.pos]
	switch {
	case c == '\'':
		return l.quoted('\'', l.dialect == MySQL)
	case c == '"':
		if l.dialect == MySQL {
			l.quoted('"', true)
			return Opaque // a string, or in ANSI mode a name
		}
		return l.closed('"', Quoted)
	case c == '`':
		return l.closed('`', Quoted)
	case c == '[' && l.dialect != Postgres && l.dialect != MySQL:
		return l.closed(']', Quoted)
	case c == '(' || c == ')' || c == ',' || c == ';' || c == '[' || c == ']':
		l.pos++
		return Punct
	case isDigit(c) || c == '.' && isDigit(l.at(1)):
		l.number()
		return Number
	case c == '.':
		l.pos++
		return Punct
	case isWordStart(c):
		return l.word()
	case c == '$':
		return l.dollar()
	case c == '?' && l.dialect != Postgres:
		l.pos++
		for isDigit(l.at(0)) {
			l.pos++
		}
		return Param
	case c == ':' && l.at(1) == ':':
		l.pos += 2
		return Operator
	case c == ':' && isWordStart(l.at(1)), c == '@' && (isWordStart(l.at(1)) || l.at(1) == '@'):
		l.pos += 2
		for isWordPart(l.at(0)) {
			l.pos++
		}
		return Param
	}
	l.operator()
	return Operator
}

// quoted consumes text up to the closing quote; a doubled quote is part of
// it.
func (l *lexer) quoted(quote byte, backslash bool) Kind {
	kind := String
	l.pos++
	for l.pos < len(l.src) {
		c := l.src[l.pos]
		switch {
		case c == '\\' && backslash:
			kind = Opaque
			if l.at(1) == quote && l.dialect == MySQL { // unless NO_BACKSLASH_ESCAPES is set
				l.ambiguous = true
			}
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
	return Opaque
}

// closed consumes a quoted token and returns its kind, if it has an end.
func (l *lexer) closed(quote byte, kind Kind) Kind {
	if l.quoted(quote, false) == Opaque {
		return Opaque
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
func (l *lexer) word() Kind {
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
				return Opaque
			case 'x':
				return l.closed('\'', Blob)
			case 'b', 'n':
				l.quoted('\'', l.dialect == MySQL)
				return Opaque
			}
		}
		if l.src[start]|0x20 == 'u' && l.at(0) == '&' && (l.at(1) == '\'' || l.at(1) == '"') {
			quote := l.at(1)
			l.pos++
			l.quoted(quote, false)
			return Opaque
		}
	}
	return Bare
}

// dollar consumes a parameter ($1, $name) or a string in dollar quotes.
func (l *lexer) dollar() Kind {
	i := 1
	if isDigit(l.at(i)) {
		for isDigit(l.at(i)) {
			i++
		}
		l.pos += i
		return Param
	}
	for isWordPart(l.at(i)) && l.at(i) != '$' {
		i++
	}
	if l.at(i) != '$' || l.dialect == SQLite || l.dialect == MySQL {
		l.pos += i
		return Param
	}
	tag := l.src[l.pos : l.pos+i+1]
	l.pos += len(tag)
	if end := strings.Index(l.src[l.pos:], tag); end >= 0 {
		l.pos += end + len(tag)
	} else {
		l.pos = len(l.src)
	}
	return Opaque
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
		if c == '-' && next == '-' || c == '/' && next == '*' || c == '?' && l.dialect != Postgres ||
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
