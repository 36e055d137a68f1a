package bunsource

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/uptrace/bun/dialect"
)

// writtenTable is a table that the generated statements write.
type writtenTable struct {
	name  string
	key   []string
	other []string // columns beside the key that can be written
	text  string   // the column that holds text, or ""
	made  bool     // the database makes the key where it is left out
	auto  bool     // the key is computed
}

var writtenTables = []writtenTable{
	{name: "items", key: []string{"id"}, other: []string{"n", "t"}, text: "t"},
	{name: "pairs", key: []string{"a", "code"}, other: []string{"n"}, text: "code"},
	{name: "Names", key: []string{"Code"}, other: []string{"n"}, text: "Code"},
	{name: "made", key: []string{"id"}, other: []string{"n"}, made: true},
	{name: "computed", key: []string{"id"}, other: []string{"n"}, auto: true},
}

// statements generates statements of a dialect from a grammar. Few of them are
// sensible, and some are refused.
type statements struct {
	*rand.Rand
	dialect dialect.Name
	args    []any // of the statement at hand
	params  bool  // some literals become parameters
}

func (g *statements) pg() bool { return g.dialect == dialect.PG }

// one returns one of the texts.
func (g *statements) one(texts ...string) string { return texts[g.IntN(len(texts))] }

// chance is true once in n times.
func (g *statements) chance(n int) bool { return g.IntN(n) == 0 }

func (g *statements) table() *writtenTable { return &writtenTables[g.IntN(len(writtenTables))] }

// next generates a statement, and the arguments for it.
func (g *statements) next() (string, []any) {
	g.args, g.params = nil, g.chance(4)
	text := g.statement()
	if g.chance(6) {
		text = g.spaced(text)
	}
	// Numbers between marks become parameters.
	pieces := strings.Split(text, "\x01")
	for i := 1; i < len(pieces); i += 2 {
		n, _ := strconv.Atoi(pieces[i])
		g.args = append(g.args, n)
		pieces[i] = "?"
		if g.pg() {
			pieces[i] = fmt.Sprintf("$%d::int", len(g.args))
		}
	}
	return strings.Join(pieces, ""), g.args
}

func (g *statements) statement() string {
	if g.pg() {
		switch g.IntN(24) {
		case 0:
			g.params = false
			return "EXPLAIN (ANALYZE, COSTS OFF) " + g.dml()
		case 1:
			g.params = false
			return "DO $do$ BEGIN " + g.dml() + "; END $do$"
		case 2:
			return "TRUNCATE free, " + quoteName(g.table().name) + g.one("", " RESTART IDENTITY", " CONTINUE IDENTITY RESTRICT")
		case 3:
			return g.merge()
		case 4:
			g.params = false
			return "PREPARE p AS " + g.dml() + "\x00EXECUTE p\x00DEALLOCATE p"
		case 5, 6:
			return g.recursive()
		case 7, 8, 9:
			return g.with(2)
		case 10, 11:
			g.params = false
			return g.calling()
		}
		return g.dml()
	}
	switch g.IntN(16) {
	case 0:
		g.params = false
		return g.dml() + "; " + g.dml()
	case 1:
		return "WITH c (x) AS (VALUES (1), (2)) " + g.dml()
	case 2:
		g.params = false
		return "EXPLAIN QUERY PLAN " + g.dml()
	case 3:
		return g.recursive()
	}
	return g.dml()
}

// calling generates a statement that writes by a function that it calls.
func (g *statements) calling() string {
	call := g.one("writes_items", `"writes_items"`, "public.writes_items ", "WRITES_ITEMS", "calls_it", "calls_it") + "(" + g.one("1", "2", "3") + ")"
	return g.one(
		"SELECT "+call, "SELECT id FROM items WHERE writes_items(id) > 0", "WITH c AS MATERIALIZED (SELECT "+call+" AS x) SELECT * FROM c", "VALUES ("+call+")",
		"SELECT i.row_writes FROM items i", "SELECT (i).row_writes FROM items i", "SELECT row_writes(i) FROM items i", "TABLE writing_view", "SELECT * FROM writing_view",
		"SELECT * FROM "+call, "SELECT only_reads(1)", "INSERT INTO pairs (a, code, n) SELECT "+call+", 'x', 1 ON CONFLICT DO NOTHING",
		"UPDATE made SET n = n WHERE id = "+call, "INSERT INTO made (n) VALUES (7) RETURNING "+call, "SELECT 1 ORDER BY "+call,
		"EXPLAIN (ANALYZE, COSTS OFF) SELECT "+call, "SELECT CASE WHEN "+call+" > 0 THEN 1 END",
	)
}

// with generates a statement with common table expressions, one in another.
func (g *statements) with(depth int) string {
	var b strings.Builder
	b.WriteString("WITH ")
	for i := range 1 + g.IntN(2) {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "c%d_%d AS %s(", depth, i, g.one("", "MATERIALIZED ", "NOT MATERIALIZED "))
		if depth > 0 && g.chance(3) {
			b.WriteString("WITH " + fmt.Sprintf("d%d (x) AS (SELECT %s) ", i, g.number()))
		}
		if g.chance(3) {
			b.WriteString("SELECT 1 AS x")
		} else {
			b.WriteString(g.dmlOn(g.table(), "RETURNING 1 AS x"))
		}
		b.WriteString(")")
	}
	if g.chance(2) {
		return b.String() + fmt.Sprintf(" SELECT * FROM c%d_0", depth)
	}
	return b.String() + " " + g.dml()
}

// recursive generates a statement behind a recursive common table expression,
// with the clauses that Postgres allows behind one.
func (g *statements) recursive() string {
	clauses := ""
	if g.pg() {
		clauses = g.one("", "SEARCH DEPTH FIRST BY x SET o ", "SEARCH BREADTH FIRST BY x SET o ", "CYCLE x SET c USING p ",
			"SEARCH DEPTH FIRST BY x SET o CYCLE x SET c TO true DEFAULT false USING p ")
	}
	t := g.table()
	dml := g.one(
		fmt.Sprintf("DELETE FROM %s WHERE n IN (SELECT x FROM r)", quoteName(t.name)),
		fmt.Sprintf("UPDATE %s SET n = n + 1 WHERE n IN (SELECT x FROM r)", quoteName(t.name)),
		"INSERT INTO items (id, n) SELECT x, "+g.number()+" FROM r WHERE true ON CONFLICT DO NOTHING",
		g.dml(),
	)
	return "WITH RECURSIVE r (x) AS (SELECT " + g.number() + " UNION ALL SELECT x + 1 FROM r WHERE x < 6) " + clauses + dml
}

func (g *statements) dml() string { return g.dmlOn(g.table(), g.returning()) }

func (g *statements) returning() string {
	if g.chance(2) {
		return ""
	}
	return "RETURNING " + g.one("*", "n", "n AS id", "1", "n + 1 AS id, n")
}

func (g *statements) dmlOn(t *writtenTable, returning string) string {
	if returning != "" && g.chance(2) && strings.HasPrefix(returning, "RETURNING n") {
		returning = "RETURNING n, " + quoteNames(t.key)
	}
	var text string
	switch g.IntN(5) {
	case 0, 1:
		text = g.insert(t)
	case 2, 3:
		text = g.update(t)
	default:
		text = g.delete(t)
	}
	return strings.TrimSpace(text + " " + returning)
}

// number generates a small number, as a literal or a parameter.
func (g *statements) number() string {
	n := 1 + g.IntN(9)
	if g.params && g.chance(2) {
		return fmt.Sprintf("\x01%d\x01", n)
	}
	if g.chance(8) {
		return fmt.Sprintf("%d + %d", n-1, 1)
	}
	return fmt.Sprint(n)
}

// value generates a value for a column.
func (g *statements) value(t *writtenTable, column string) string {
	if column == t.text {
		return g.one("'a'", "'b'", "'it''s'", "'c' || 'd'", "'; DELETE FROM items; --'", "'RETURNING'")
	}
	return g.number()
}

func (g *statements) insert(t *writtenTable) string {
	verb := "INSERT INTO "
	if !g.pg() {
		verb = g.one("INSERT INTO ", "INSERT INTO ", "INSERT INTO ", "INSERT OR REPLACE INTO ", "REPLACE INTO ", "INSERT OR IGNORE INTO ")
	}
	var columns []string
	if !t.auto && (!t.made || g.chance(2)) {
		columns = append(columns, t.key...)
	}
	columns = append(columns, t.other...)
	g.Shuffle(len(columns), func(i, j int) { columns[i], columns[j] = columns[j], columns[i] })
	tuple := func() string {
		vals := make([]string, len(columns))
		for i, c := range columns {
			vals[i] = g.value(t, c)
			if t.made && c == "id" && g.chance(4) {
				vals[i] = g.one("NULL", "DEFAULT")
			}
		}
		return strings.Join(vals, ", ")
	}
	overriding := ""
	if g.pg() && t.made {
		overriding = g.one("", "OVERRIDING USER VALUE ", "OVERRIDING SYSTEM VALUE ")
	}
	values := "VALUES (" + tuple() + ")"
	for range g.IntN(3) {
		values += ", (" + tuple() + ")"
	}
	tail := g.onConflict(t)
	where := ""
	if tail != "" {
		where = " WHERE true"
	}
	source := values
	switch g.IntN(8) {
	case 0:
		source = "VALUES (" + tuple() + ") UNION ALL SELECT " + tuple() + where
	case 1:
		source = "SELECT " + tuple() + where
	case 2:
		source = "WITH s AS (SELECT 1) SELECT " + tuple() + " FROM s" + where
	case 3:
		if g.pg() {
			source = values + " ORDER BY 1 LIMIT 1"
		}
	}
	return verb + quoteName(t.name) + " (" + quoteNames(columns) + ") " + overriding + source + tail
}

func (g *statements) onConflict(t *writtenTable) string {
	set := g.one("n = excluded.n", "n = "+g.number())
	if !t.auto && g.chance(4) {
		set += ", " + quoteName(t.key[0]) + " = " + g.value(t, t.key[0])
	}
	target := "(" + quoteNames(t.key) + ")"
	if t.auto {
		target = g.one("(n)", "(id)")
	}
	return g.one("", "", " ON CONFLICT DO NOTHING", " ON CONFLICT "+target+" DO NOTHING",
		" ON CONFLICT "+target+" DO UPDATE SET "+set,
		" ON CONFLICT "+target+" DO UPDATE SET "+set+" WHERE "+quoteName(t.name)+".n < 5")
}

func (g *statements) update(t *writtenTable) string {
	verb := "UPDATE "
	if !g.pg() {
		verb = g.one("UPDATE ", "UPDATE ", "UPDATE OR REPLACE ", "UPDATE OR IGNORE ")
	}
	name, alias := quoteName(t.name), ""
	if g.chance(3) {
		alias = g.one("x", "AS x")
	}
	set := "n = " + g.one("n + 1", g.number(), "n", "(SELECT max(n) FROM free)", "CASE WHEN n > 3 THEN 1 ELSE n + 2 END")
	if g.chance(4) {
		set += ", " + g.setKey(t)
	}
	from := ""
	where := g.where(t, alias != "")
	if g.chance(6) {
		from = " FROM " + g.one("free", "free AS f", "free f", "(SELECT 1 AS z) f")
	}
	return verb + strings.TrimSpace(name+" "+alias) + " SET " + set + from + where
}

// setKey assigns to the key, in one spelling or another.
func (g *statements) setKey(t *writtenTable) string {
	column := t.key[g.IntN(len(t.key))]
	value := g.value(t, column)
	spellings := []string{quoteName(column) + " = " + value, "(" + quoteName(column) + ") = (SELECT " + value + ")"}
	if g.pg() {
		spellings = append(spellings, `U&"`+column+`" = `+value)
	} else {
		spellings = append(spellings, "'"+column+"' = "+value, "["+column+"] = "+value)
		if t.name == "items" {
			spellings = append(spellings, "rowid = "+value, "_rowid_ = "+value)
		}
	}
	return g.one(spellings...)
}

func (g *statements) delete(t *writtenTable) string {
	alias, using := "", ""
	if g.chance(3) {
		alias = " AS x"
	}
	if g.pg() && g.chance(5) {
		using = " USING " + g.one("free", "items AS f", "pairs f")
	}
	return "DELETE FROM " + quoteName(t.name) + alias + using + g.where(t, alias != "")
}

func (g *statements) where(t *writtenTable, aliased bool) string {
	prefix := ""
	if aliased {
		prefix = "x."
	} else if g.chance(3) {
		prefix = quoteName(t.name) + "."
	}
	return " WHERE " + g.condition(t, prefix, g.IntN(3))
}

// condition generates a condition that has at least something to do with keys.
func (g *statements) condition(t *writtenTable, prefix string, depth int) string {
	if depth > 0 {
		return fmt.Sprintf(g.one("(%s) AND (%s)", "%s AND %s", "(%s) OR (%s)", "%s OR %s", "NOT (%s) AND %s", "(%s) = (%s)",
			"CASE WHEN %s THEN %s ELSE 1 = 0 END", "(%s AND %s)", "n BETWEEN 1 AND 9 AND %s AND %s"),
			g.condition(t, prefix, depth-1), g.condition(t, prefix, depth-1))
	}
	column := t.key[g.IntN(len(t.key))]
	key := prefix + quoteName(column)
	value := func() string { return g.value(t, column) }
	whole, tuple := make([]string, len(t.key)), make([]string, len(t.key))
	for i, c := range t.key {
		whole[i], tuple[i] = prefix+quoteName(c), g.value(t, c)
	}
	texts := []string{
		key + " = " + value(), key + " = " + value(),
		key + " IN (" + value() + ", " + value() + ")",
		key + " NOT IN (" + value() + ")",
		"(" + strings.Join(whole, ", ") + ") IN ((" + strings.Join(tuple, ", ") + "))",
		"(" + strings.Join(whole, ", ") + ") = (" + strings.Join(tuple, ", ") + ")",
		prefix + "n < " + g.number(),
		"EXISTS (SELECT 1 FROM free WHERE " + key + " = " + value() + ")",
		key + " = " + value() + " /* OR */ ",
		"NOT " + key + " = " + value(),
		key + " = (SELECT " + value() + ")",
	}
	if g.pg() {
		texts = append(texts, key+" = ANY (ARRAY["+value()+"])", "("+key+" = "+value()+") IS NOT TRUE")
	}
	return g.one(texts...)
}

func (g *statements) merge() string {
	return fmt.Sprintf("MERGE INTO items USING (VALUES (%s, %s)) AS s (id, n) ON items.id = s.id WHEN MATCHED THEN %s WHEN NOT MATCHED THEN INSERT (id, n) VALUES (s.id, s.n)",
		g.number(), g.number(), g.one("DELETE", "UPDATE SET n = s.n", "UPDATE SET id = s.id + 3", "DO NOTHING"))
}

// spaced writes a text in another way that means the same.
func (g *statements) spaced(text string) string {
	space := g.one("  ", "\n", " /* ; */ ", " -- ' ;\n", "\t")
	var b strings.Builder
	quote := byte(0)
	for i := range len(text) {
		c := text[i]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '[':
			quote = ']'
		case c == '$' && strings.Contains(text, "$do$"):
			return text
		case c == ' ' && g.chance(3):
			b.WriteString(space)
			continue
		case c >= 'A' && c <= 'Z' && g.chance(3) && !strings.Contains(text, "X'"):
			c |= 0x20
		}
		b.WriteByte(c)
	}
	return b.String()
}

func quoteName(name string) string {
	if strings.ToLower(name) == name {
		return name
	}
	return `"` + name + `"`
}

func quoteNames(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = quoteName(n)
	}
	return strings.Join(out, ", ")
}
