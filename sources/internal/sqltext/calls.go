package sqltext

import "strings"

// Mentions reports whether the text calls one of the functions that may write, reads one
// of the views that call them, or writes and names what passes writes on to other tables.
// names are in lower case. It says true when it is not sure.
func Mentions(src string, d Dialect, names map[string]Mention) bool {
	if len(names) == 0 || len(names) <= maxSearched && !mayMention(src, names) {
		return false
	}
	toks, ok := lex(nil, src, d)
	if !ok || len(src) > MaxText {
		return true
	}
	p := &Text{Source: src, Dialect: d, toks: toks}
	for i := range toks {
		if !p.IsName(i) {
			continue
		}
		how, found := names[strings.ToLower(p.Name(i))]
		if !found {
			continue
		}
		switch {
		case how == MentionedAsTarget:
			if p.writesSomething() {
				return true
			}
		case how == MentionedAnywhere, p.Is(i+1, "("), how == MentionedAsField && p.Is(i-1, "."):
			return true
		}
	}
	return false
}

// maxSearched is up to how many names are searched for in the text before it is cut into
// tokens. The tokens of a text cost the same however many names there are.
const maxSearched = 32

// writesSomething reports whether one of the tokens may be the verb of a write.
func (p *Text) writesSomething() bool {
	for i := range p.toks {
		if p.isVerb(i, len(p.toks)) || p.Word(i, "TRUNCATE", "COPY") {
			return true
		}
	}
	return false
}

// Mention is how a text refers to what may write.
type Mention uint8

// The ways: name(…); that, or row.name; the bare name; or the bare name in a text that
// writes.
const (
	MentionedAsCall Mention = iota
	MentionedAsField
	MentionedAnywhere
	MentionedAsTarget
)

// mayMention reports whether one of the names stands anywhere in the text.
func mayMention(src string, names map[string]Mention) bool {
	folded := strings.ToLower(src)
	for name := range names {
		if strings.Contains(folded, name) {
			return true
		}
	}
	return false
}

// WithAny makes the parsed text, nil where it only reads, one that may also write any
// table.
func WithAny(p *Text, src string, d Dialect) *Text {
	if p == nil {
		p = pool.Get().(*Text)
		p.Source, p.Dialect, p.Statements = src, d, 1
		p.toks, _ = lex(p.toks, src, d)
	}
	p.add(WriteAny)
	return p
}

// CallsUnknown reports whether the text may call a function that is not among the usual
// ones of SQL. It says true when it is not sure.
func CallsUnknown(src string, d Dialect) bool {
	toks, ok := lex(nil, src, d)
	if !ok || len(src) > MaxText {
		return true
	}
	p := &Text{Source: src, Dialect: d, toks: toks}
	for i := range toks {
		if p.IsName(i) && p.Is(i+1, "(") && !usual[strings.ToUpper(p.Name(i))] {
			return true
		}
	}
	return false
}

// usual are words before a parenthesis that call nothing that writes.
var usual = func() map[string]bool {
	words := make(map[string]bool)
	for word := range strings.FieldsSeq(`ALL AND ANY ARRAY AS AVG BETWEEN BY CASE CAST COALESCE COUNT DISTINCT ELSE EXCEPT EXISTS EXTRACT FILTER FROM
		GREATEST GROUP HAVING IN INTERSECT INTO IS JOIN LATERAL LEAST LENGTH LIKE LOWER MAX MIN NOT NOW NULLIF ON OR OVER PARTITION REPLACE ROUND ROW SELECT
		SOME SUBSTRING SUM THEN TO_REGCLASS TRIM UNION UPPER USING VALUES VERSION WHEN WHERE WITH`) {
		words[word] = true
	}
	return words
}()
