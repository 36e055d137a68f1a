package filter

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/binderyhq/bindery/core/value"
)

// Search looks for a text in a column of texts. It is unknown for NULL; every other
// text contains, and begins with, the empty one.
//
// Without Fold it compares bytes, whatever the column's collation, so Go and every database
// agree. With Fold it ignores case for the letters that the database knows: SQLite only
// knows ASCII, Postgres and MySQL those of their locale. Databases that know more than
// ASCII evaluate it themselves, see [ExactFold].
type Search struct {
	Column string
	// Prefix says that the column's text must begin with Text rather than contain it
	// anywhere.
	Prefix bool
	// Fold ignores case.
	Fold bool
	// Text is a literal as in [Comparison]: UTF-8 text without NUL. It is not a pattern: %,
	// _ and * match only themselves.
	Text any
}

func (*Search) isExpr() {}

// Contains selects the rows whose column contains the text.
func Contains(column string, text any) Expr { return &Search{Column: column, Text: literal(text)} }

// ContainsFold is [Contains] without regard to case; see [Search].
func ContainsFold(column string, text any) Expr {
	return &Search{Column: column, Text: literal(text), Fold: true}
}

// HasPrefix selects the rows whose column begins with the text.
func HasPrefix(column string, text any) Expr {
	return &Search{Column: column, Text: literal(text), Prefix: true}
}

// HasPrefixFold is [HasPrefix] without regard to case; see [Search].
func HasPrefixFold(column string, text any) Expr {
	return &Search{Column: column, Text: literal(text), Prefix: true, Fold: true}
}

func (e *Search) String() string {
	text := columnText(e.Column) + " contains "
	if e.Prefix {
		text = columnText(e.Column) + " begins with "
	}
	text += literalText(e.Text)
	if e.Fold {
		text += " in any case"
	}
	return text
}

// Literal returns the text to search for. The error says why it is not valid.
func (e *Search) Literal() (string, error) {
	v, err := convert(e.Column, e.Text, value.KindText)
	if err != nil {
		return "", err
	}
	text := v.String()
	if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
		return "", fmt.Errorf("filter: searching column %q: %w", e.Column, errSearched)
	}
	return text, nil
}

var errSearched = errors.New("what is searched for must be UTF-8 without NUL")

// needs returns the exactness that the search requires of its column.
func (e *Search) needs() Exactness {
	if e.Fold {
		return ExactEqual | ExactFold
	}
	return ExactEqual
}

// search checks a search.
func (c *checker) search(e *Search) {
	switch kind, ok := c.kind(e.Column); {
	case !ok:
		c.column(e.Column)
	case kind != value.KindText:
		c.errs = append(c.errs, fmt.Errorf("filter: searching column %q: it holds no text but values of kind %s", e.Column, kind))
	default:
		p, is := e.Text.(Parameter)
		switch {
		case is && p.repeated:
			c.errs = append(c.errs, errOutsideList(e.Column, p))
			return
		case is && c.parameters:
			return
		}
		if _, err := e.Literal(); err != nil {
			c.errs = append(c.errs, err)
		}
	}
}

// search is a [Search] prepared for evaluation.
type search struct {
	column       int
	prefix, fold bool
	text         string // in lower case, with fold
}

func (c *compiler) search(e *Search) node {
	column, _, _ := c.columns(e.Column)
	n := &search{column: column, prefix: e.Prefix, fold: e.Fold}
	n.text, _ = e.Literal() // it was checked
	if n.fold {
		n.text = lowerASCII(n.text)
	}
	return n
}

func (n *search) eval(get func(int) value.Value) Truth {
	v := get(n.column)
	if v.IsNull() {
		return Unknown
	}
	text := v.String()
	switch {
	case n.fold && n.prefix:
		return truth(len(text) >= len(n.text) && equalFold(text[:len(n.text)], n.text))
	case n.fold:
		return truth(containsFold(text, n.text))
	case n.prefix:
		return truth(strings.HasPrefix(text, n.text))
	default:
		return truth(strings.Contains(text, n.text))
	}
}

// containsFold reports whether the text contains lower, ignoring ASCII case. It allocates
// nothing.
func containsFold(text, lower string) bool {
	for i := 0; i+len(lower) <= len(text); i++ {
		if equalFold(text[i:i+len(lower)], lower) {
			return true
		}
	}
	return false
}

// equalFold reports whether the texts are equal, ignoring ASCII case. They have the same
// length, and lower is in lower case.
func equalFold(text, lower string) bool {
	for i := range len(lower) {
		if lowerByte(text[i]) != lower[i] {
			return false
		}
	}
	return true
}

func lowerASCII(text string) string {
	b := []byte(text)
	for i, c := range b {
		b[i] = lowerByte(c)
	}
	return string(b)
}

func lowerByte(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
