package sqlgen

import (
	"strings"

	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/sources/bunsource/internal/exact"
)

// search writes a search for a text, see [filter.Search]. Without Fold it compares
// bytes under any collation, so that Go can decide too. If the column's own collation
// certainly compares bytes, it sets no other, so that the database can use an index.
func (w *whereWriter) search(e *filter.Search) error {
	c, err := w.find(e.Column)
	if err != nil {
		return err
	}
	text, err := e.Literal()
	if err != nil {
		return err
	}
	switch w.dialect {
	case dialect.SQLite:
		w.sqliteSearch(c, e, text)
	case dialect.PG:
		w.pgSearch(c, e, text)
	default:
		w.mysqlSearch(c, e, text)
	}
	return nil
}

// likeEscape is the escape character of patterns. A backslash would not do: string
// literals may escape it too, depending on the server's settings.
const likeEscape = "!"

var likeEscaper = strings.NewReplacer(likeEscape, likeEscape+likeEscape, "%", likeEscape+"%", "_", likeEscape+"_")

// likePattern returns the pattern of LIKE that finds the text.
func likePattern(text string, prefix bool) string {
	pattern := likeEscaper.Replace(text) + "%"
	if !prefix {
		pattern = "%" + pattern
	}
	return pattern
}

// sqliteSearch does not use LIKE: whether SQLite's LIKE ignores the case of ASCII
// letters depends on a PRAGMA.
func (w *whereWriter) sqliteSearch(c whereColumn, e *filter.Search, text string) {
	if e.Prefix && !e.Fold && exact.SQLiteAffinity(c.sqlType) == exact.AffinityText {
		w.sqlitePrefix(c, text)
		return
	}
	w.write("instr(")
	if e.Fold {
		w.write("lower(")
	}
	w.ident(c)
	if e.Fold {
		w.write("), lower(?)", text)
	} else {
		w.write(", ?", text)
	}
	w.write(map[bool]string{true: ") = 1", false: ") > 0"}[e.Prefix])
}

// sqlitePrefix writes an interval, so that SQLite can use an index.
func (w *whereWriter) sqlitePrefix(c whereColumn, prefix string) {
	w.write("(")
	w.ident(c)
	w.write(" COLLATE BINARY >= ?", prefix)
	if n := len(prefix); n > 0 { // in UTF-8 the last byte is less than 0xff
		end := []byte(prefix)
		end[n-1]++
		w.write(" AND ")
		w.ident(c)
		w.write(" COLLATE BINARY < CAST(? AS TEXT)", end)
	}
	w.write(")")
}

func (w *whereWriter) pgSearch(c whereColumn, e *filter.Search, text string) {
	w.ident(c)
	switch exact.BaseType(c.sqlType) {
	case "text", "character varying":
	default:
		w.write("::text") // a uuid, an enumeration, a citext that ignores case
	}
	if !c.deterministic {
		// LIKE is an error under a nondeterministic collation.
		w.write(map[bool]string{true: ` COLLATE "default"`, false: ` COLLATE "C"`}[e.Fold])
	}
	w.write(map[bool]string{true: " ILIKE ", false: " LIKE "}[e.Fold])
	w.write("? ESCAPE '"+likeEscape+"'", likePattern(text, e.Prefix))
}

// mysqlSearch compares in a character set with every character, under a collation
// that distinguishes all of them.
func (w *whereWriter) mysqlSearch(c whereColumn, e *filter.Search, text string) {
	lower, end := "", ""
	if e.Fold {
		lower, end = "LOWER(", ")"
	}
	w.write(lower + "CONVERT(")
	w.ident(c)
	w.write(" USING utf8mb4)" + end + " COLLATE utf8mb4_bin LIKE " + lower)
	w.write("?"+end+" ESCAPE '"+likeEscape+"'", likePattern(text, e.Prefix))
}
