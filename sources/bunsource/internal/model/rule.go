package model

import (
	"regexp"
	"strings"
)

var ruleWord = regexp.MustCompile(`[\p{L}_][\p{L}\p{N}_$]*`)

// ColumnOfRule returns the column that a rule is about, when its name or its
// text says so and names no other; else "". Postgres names the rule of a column
// table_column_check, SQLite cites the condition.
func (m *Model) ColumnOfRule(rule string) string {
	if rest, ok := strings.CutPrefix(rule, m.Schema.Table.Name+"_"); ok {
		if column, _, ok := cutLast(rest, "_check"); ok && m.Schema.Column(column) >= 0 {
			return column
		}
	}
	found := ""
	for _, word := range ruleWord.FindAllString(rule, -1) {
		switch {
		case m.Schema.Column(word) < 0 || word == found:
		case found != "":
			return ""
		default:
			found = word
		}
	}
	return found
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
