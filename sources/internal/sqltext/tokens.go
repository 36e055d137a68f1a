package sqltext

import "strings"

// The methods below read single tokens. Each takes the token's index; one that
// lies outside the text matches nothing.

// Len returns the number of tokens.
func (p *Text) Len() int { return len(p.toks) }

// Kind returns the token's kind.
func (p *Text) Kind(i int) Kind { return p.toks[i].kind }

// Depth returns how many parentheses are open around the token. A parenthesis
// has the depth outside it.
func (p *Text) Depth(i int) int32 { return p.toks[i].depth }

// Param returns which argument a parameter stands for, counted from 1, or 0
// when the text does not say.
func (p *Text) Param(i int) int { return int(p.toks[i].param) }

// Token returns the token as it is written.
func (p *Text) Token(i int) string { return p.Source[p.toks[i].pos:p.toks[i].end] }

// Is reports whether the token is the given punctuation or operator.
func (p *Text) Is(i int, s string) bool {
	return i >= 0 && i < len(p.toks) && (p.toks[i].kind == Punct || p.toks[i].kind == Operator) && p.Token(i) == s
}

// Word reports whether the token is one of the keywords, which are given in
// upper case. A quoted name is no keyword.
func (p *Text) Word(i int, keywords ...string) bool {
	if i < 0 || i >= len(p.toks) || p.toks[i].kind != Bare {
		return false
	}
	text := p.Token(i)
	for _, k := range keywords {
		if len(k) == len(text) && strings.EqualFold(text, k) {
			return true
		}
	}
	return false
}

// words reports whether the keywords stand one after the other.
func (p *Text) words(i int, keywords ...string) bool {
	for n, k := range keywords {
		if !p.Word(i+n, k) {
			return false
		}
	}
	return true
}

// has reports whether a keyword stands anywhere in the span.
func (p *Text) has(s Span, keywords ...string) bool {
	for i := s.Lo; i < s.Hi; i++ {
		if p.Word(i, keywords...) {
			return true
		}
	}
	return false
}

// IsName reports whether the token may be an identifier.
func (p *Text) IsName(i int) bool {
	return i >= 0 && i < len(p.toks) && (p.toks[i].kind == Bare || p.toks[i].kind == Quoted)
}

// Name returns the identifier at the token without its quotes.
func (p *Text) Name(i int) string {
	text := p.Token(i)
	if p.toks[i].kind != Quoted {
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

// Closing returns the token that closes the parenthesis at open, or hi when it
// lies beyond.
func (p *Text) Closing(open, hi int) int {
	for i := open + 1; i < hi; i++ {
		if p.toks[i].depth == p.toks[open].depth && p.Is(i, ")") {
			return i
		}
	}
	return hi
}

// Resolved returns the identifier at the token as the database looks it up:
// two names are the same if they are resolved to the same.
func (p *Text) Resolved(i int) string {
	switch {
	case p.Dialect != Postgres:
		return strings.ToLower(p.Name(i))
	case p.toks[i].kind == Quoted:
		return p.Name(i)
	}
	return strings.Map(func(c rune) rune { // letters of other alphabets stay as they are
		if c >= 'A' && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, p.Token(i))
}

// table reads the name of a table, with or without schema, and returns the token
// behind it.
func (p *Text) table(at, hi int, w *Write) (next int, ok bool) {
	var parts [3]int
	n := 0
	for {
		if at >= hi || n == len(parts) || !p.IsName(at) {
			return at, false
		}
		parts[n] = at
		n++
		at++
		if at >= hi || !p.Is(at, ".") {
			break
		}
		at++
	}
	w.Target.Name, w.Exact.Name = strings.ToLower(p.Name(parts[n-1])), p.Resolved(parts[n-1])
	if n > 1 {
		w.Target.Schema, w.Exact.Schema = strings.ToLower(p.Name(parts[n-2])), p.Resolved(parts[n-2])
	}
	return at, true
}
