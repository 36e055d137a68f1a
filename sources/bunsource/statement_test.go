package bunsource

import (
	sqldriver "database/sql/driver"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

// describe writes what a text does in short: the tables that it writes, * for
// any, and what it does to transactions.
func describe(p *parsed) string {
	if p == nil {
		return ""
	}
	names := map[opKind]string{
		opAny: "*", opBegin: "begin", opCommit: "commit", opCommitChain: "commit+begin", opCommitImplicit: "implicit",
		opRollback: "rollback", opRollbackChain: "rollback+begin", opUnknown: "?",
	}
	var out []string
	for _, o := range p.ops {
		switch o.kind {
		case opWrite:
			out = append(out, strings.TrimPrefix(o.write.target.schema+"."+o.write.target.name, "."))
		case opSavepoint:
			out = append(out, "savepoint "+o.name)
		case opRelease:
			out = append(out, "release "+o.name)
		default:
			out = append(out, names[o.kind])
		}
	}
	return strings.Join(out, " ")
}

func TestWhatAStatementWrites(t *testing.T) {
	all := []dialect.Name{dialect.SQLite, dialect.PG, dialect.MySQL}
	for _, c := range []struct {
		query, want string
		dialects    []dialect.Name // nil: all
	}{
		{query: "", want: ""},
		{query: " -- nothing\n", want: ""},
		{query: "select 1", want: ""},
		{query: "SELECT 'a;b', \"c;d\" FROM x; ", want: ""},
		{query: "SELECT 1; DELETE FROM x", want: "x"},
		{query: "(SELECT 1) UNION (SELECT 2)", want: ""},
		{query: "SELECT replace(a, 'x', 'y'), insert(a, 1, 2, 'z') FROM x FOR UPDATE", want: ""},
		{query: "/* DELETE FROM y */ UPDATE x SET a = 'DELETE FROM z'", want: "x"},
		{query: "update Shop.X set a=1", want: "shop.x"},
		{query: "UPDATE db.shop.x SET a = 1", want: "shop.x"},
		{query: `INSERT INTO "A ""b"" c" VALUES (1)`, want: `a "b" c`, dialects: all[:2]},
		{query: "INSERT INTO `a b` VALUES (1)", want: "a b", dialects: []dialect.Name{dialect.SQLite, dialect.MySQL}},
		{query: "INSERT INTO [a b] VALUES (1)", want: "a b", dialects: all[:1]},
		{query: `INSERT INTO "a" VALUES (1)`, want: "*", dialects: all[2:]},
		{query: `INSERT INTO U&"\0061" VALUES (1)`, want: "*", dialects: all[1:2]},
		{query: "INSERT OR IGNORE INTO x VALUES (1)", want: "x", dialects: all[:1]},
		{query: "REPLACE INTO x VALUES (1)", want: "x"},
		{query: "INSERT INTO x SELECT * FROM y", want: "x"},
		{query: "INSERT INTO x (SELECT * FROM y)", want: "x"},
		{query: "DELETE FROM ONLY x USING y WHERE x.a = y.a", want: "x", dialects: all[1:2]},
		{query: "DELETE a, b FROM a JOIN b", want: "*", dialects: all[2:]},
		{query: "DELETE FROM a, b USING a JOIN b", want: "*", dialects: all[2:]},
		{query: "UPDATE a, b SET a.x = b.x, b.y = 1", want: "b a", dialects: all[2:]},
		{query: "UPDATE a JOIN b ON a.id = b.id SET b.y = 1", want: "b a", dialects: all[2:]},
		{query: "UPDATE a JOIN (SELECT 1) AS s SET a.y = 1", want: "a", dialects: all[2:]},
		{query: "WITH a AS (SELECT 1) SELECT * FROM a", want: ""},
		{query: "WITH a AS (SELECT 1), b (x) AS (SELECT 2) UPDATE c SET d = 1", want: "c"},
		{query: "WITH a AS (DELETE FROM b RETURNING *) SELECT * FROM a", want: "b", dialects: all[1:2]},
		{query: "WITH RECURSIVE a AS MATERIALIZED (INSERT INTO b VALUES (1) RETURNING *), c AS (UPDATE d SET e = 1) INSERT INTO f SELECT * FROM a", want: "b d f", dialects: all[1:2]},
		{query: "MERGE INTO x USING y ON true WHEN MATCHED THEN DELETE", want: "x", dialects: all[1:2]},
		{query: "TRUNCATE a, ONLY s.b RESTART IDENTITY", want: "a s.b", dialects: all[1:2]},
		{query: "TRUNCATE a CASCADE", want: "*", dialects: all[1:2]},
		{query: "COPY s.x (a, b) FROM STDIN", want: "s.x", dialects: all[1:2]},
		{query: "COPY x TO STDOUT", want: "", dialects: all[1:2]},
		{query: "COPY (SELECT 1) TO STDOUT", want: "", dialects: all[1:2]},
		{query: "CALL f()", want: "*"},
		{query: "DO $$ BEGIN DELETE FROM x; COMMIT; END $$", want: "*", dialects: all[1:2]},
		{query: "DO $a$ ; $$ ; $a$; DELETE FROM x", want: "* x", dialects: all[1:2]},
		{query: "CREATE INDEX i ON x (a)", want: "", dialects: all[:2]},
		{query: "DROP TABLE x", want: "*", dialects: all[:2]},
		{query: "DROP TABLE x", want: "implicit *", dialects: all[2:]},
		{query: "CREATE TRIGGER t AFTER INSERT ON x BEGIN DELETE FROM y; END", want: "* ?", dialects: all[:1]},
		{query: "EXPLAIN DELETE FROM x", want: ""},
		{query: "EXPLAIN (ANALYZE) DELETE FROM x", want: "*", dialects: all[1:2]},
		{query: "PRAGMA foreign_keys = ON", want: "", dialects: all[:1]},
		{query: "SET autocommit = 0", want: "implicit ?", dialects: all[2:]},
		{query: "begin immediate transaction", want: "begin", dialects: all[:1]},
		{query: "START TRANSACTION READ WRITE", want: "begin"},
		{query: "COMMIT AND CHAIN", want: "commit+begin"},
		{query: "COMMIT AND NO CHAIN", want: "commit"},
		{query: "END", want: "commit"},
		{query: "ROLLBACK TO SAVEPOINT a", want: ""},
		{query: "ROLLBACK AND CHAIN", want: "rollback+begin"},
		{query: "ABORT", want: "rollback", dialects: all[1:2]},
		{query: "SAVEPOINT A; RELEASE SAVEPOINT a", want: "savepoint a release a"},
		{query: "PREPARE TRANSACTION 'x'", want: "?", dialects: all[1:2]},
		{query: "COMMIT PREPARED 'x'", want: "*", dialects: all[1:2]},
		{query: "BEGIN; DELETE FROM x; COMMIT", want: "begin x commit"},
		{query: "frobnicate x", want: "*"},
		{query: "DELETE FROM x WHERE a = 'it''s; DELETE FROM y'", want: "x"},
		{query: `DELETE FROM x WHERE a = 'it\'; DELETE FROM y; --'`, want: "x", dialects: all[2:]},
		{query: `DELETE FROM x WHERE a = 'it\'; DELETE FROM y; --'`, want: "x y", dialects: all[:2]},
		{query: `DELETE FROM x WHERE a = E'it\'; DELETE FROM y; --'`, want: "x", dialects: all[1:2]},
		{query: "DELETE FROM x # ; DELETE FROM y", want: "x", dialects: all[2:]},
		{query: "DELETE FROM x WHERE a = 5--3; DELETE FROM y", want: "x y", dialects: all[2:]},
		{query: "DELETE FROM x WHERE a = 5--3; DELETE FROM y", want: "x", dialects: all[:2]},
		{query: "DELETE FROM x /* /* */ ; DELETE FROM y /* */ */", want: "x", dialects: all[1:2]},
		{query: "DELETE FROM x /* /* */ ; DELETE FROM y", want: "x y", dialects: []dialect.Name{dialect.SQLite, dialect.MySQL}},
		{query: "/*!50000 DELETE FROM x */", want: "* ?", dialects: all[2:]},
		{query: "SELECT 1 DELETE FROM x", want: "*", dialects: []dialect.Name{dialect.MSSQL}},
		{query: "SELECT 1", want: "", dialects: []dialect.Name{dialect.MSSQL, dialect.Oracle}},
		{query: "DECLARE x INT; BEGIN UPDATE y SET z = 1; END;", want: "* ?", dialects: []dialect.Name{dialect.Oracle}},
		{query: "DELETE FROM x WHERE a = '" + strings.Repeat("x", maxStatement), want: "* ?"},
	} {
		dialects := c.dialects
		if dialects == nil {
			dialects = all
		}
		for _, d := range dialects {
			if got := describe(parse(c.query, d)); got != c.want {
				t.Errorf("%v: %.100s\n\twrites %q, want %q", d, c.query, got, c.want)
			}
		}
	}
}

// proveKeys returns what a text with one write proves, in words.
func proveKeys(t *testing.T, d dialect.Name, s *driver.Schema, query string, args ...any) string {
	t.Helper()
	p := parse(query, d)
	if p == nil || len(p.ops) == 0 || p.ops[len(p.ops)-1].kind != opWrite {
		t.Fatalf("%s: no write", query)
	}
	w := &p.ops[len(p.ops)-1].write
	var named []sqldriver.NamedValue
	for i, a := range args {
		named = append(named, sqldriver.NamedValue{Ordinal: i + 1, Value: a})
	}
	r, ok := newProver(p, w, s, named)
	if !ok {
		t.Fatal("no prover")
	}
	proof := r.prove()
	out := "?"
	if proof.known {
		var keys []string
		for _, k := range proof.keys {
			keys = append(keys, k.String())
		}
		slices.Sort(keys)
		out = strings.Join(keys, " ")
	}
	if proof.one {
		out += " one"
	}
	if boundEffectOf(p, w, s, named).generated {
		out += " generated"
	}
	if r.w.returning.empty() {
		return out
	}
	if a := r.answer(); a != nil && a.columns != nil {
		out += fmt.Sprint(" returns ", a.columns)
	} else if a != nil {
		out += " returns by name"
	}
	return out
}

func testTable(columns ...driver.Column) *driver.Schema {
	s := &driver.Schema{Table: driver.Table{Name: "t"}, Columns: columns}
	for _, c := range columns {
		if c.JSON == "key" {
			s.Key = append(s.Key, c.Name)
		}
	}
	return s
}

func keyColumn(name string, k value.Kind, x filter.Exactness) driver.Column {
	return driver.Column{Name: name, JSON: "key", Kind: k, Exact: x}
}

func TestWhatAStatementProves(t *testing.T) {
	const sqlite, pg, mysql = dialect.SQLite, dialect.PG, dialect.MySQL
	n := driver.Column{Name: "n", Kind: value.KindInt}
	id := testTable(keyColumn("id", value.KindInt, 0), n)
	text := testTable(keyColumn("Code", value.KindText, filter.ExactEqual), n)
	folded := testTable(keyColumn("code", value.KindText, 0), n)
	pair := testTable(keyColumn("a", value.KindInt, 0), keyColumn("b", value.KindText, filter.ExactEqual), n)
	blob := testTable(keyColumn("h", value.KindBytes, filter.ExactEqual), n)
	flag := testTable(keyColumn("f", value.KindBool, filter.Exact), n)
	amount := testTable(keyColumn("d", value.KindDecimal, filter.Exact), n)
	float := testTable(keyColumn("x", value.KindFloat, filter.Exact), n)
	at := testTable(keyColumn("at", value.KindTime, filter.Exact), n)
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

	for _, c := range []struct {
		d     dialect.Name
		s     *driver.Schema
		query string
		args  []any
		want  string
	}{
		{d: pg, s: id, query: "DELETE FROM t WHERE id = 5", want: "5 one"},
		{d: pg, s: id, query: "DELETE FROM t WHERE id = -5", want: "-5 one"},
		{d: pg, s: id, query: "DELETE FROM t WHERE id=-5::bigint", want: "-5 one"},
		{d: pg, s: id, query: "DELETE FROM t WHERE id = '5'", want: "5 one"},
		{d: pg, s: id, query: "DELETE FROM t WHERE id = 5.0", want: "?"},
		{d: pg, s: id, query: "DELETE FROM t WHERE id = 5 + 1", want: "?"},
		{d: pg, s: id, query: "DELETE FROM t WHERE id = 5::numeric", want: "?"},
		{d: pg, s: id, query: "DELETE FROM t WHERE id <> 5", want: "?"},
		{d: pg, s: id, query: "DELETE FROM t WHERE id >= 5", want: "?"},
		{d: pg, s: id, query: "DELETE FROM t WHERE NOT id = 5", want: "?"},
		{d: pg, s: id, query: "DELETE FROM t WHERE (id = 5) = false", want: "?"},
		{d: pg, s: id, query: "DELETE FROM t WHERE (id = 5) IS NOT TRUE", want: "?"},
		{d: pg, s: id, query: "DELETE FROM t WHERE id = 5 OR n = 1", want: "?"},
		{d: pg, s: id, query: "DELETE FROM t WHERE n = 1 AND (id = 5 OR n = 1)", want: "?"},
		{d: pg, s: id, query: "DELETE FROM t WHERE ((id = 5) AND (n = 1 OR n = 2))", want: "5 one"},
		{d: pg, s: id, query: "DELETE FROM t WHERE n BETWEEN 1 AND id = 5", want: "?"},
		{d: pg, s: id, query: "DELETE FROM t WHERE CASE WHEN n = 1 AND id = 5 AND n = 2 THEN true ELSE false END", want: "?"},
		{d: mysql, s: id, query: "DELETE FROM t WHERE n = 1 || id = 5", want: "?"},
		{d: mysql, s: id, query: "DELETE FROM t WHERE n = 1 XOR n = 2 AND id = 5", want: "?"},
		{d: pg, s: id, query: "DELETE FROM t WHERE id IN (1, 2, 3)", want: "1 2 3"},
		{d: pg, s: id, query: "DELETE FROM t WHERE id NOT IN (1, 2, 3)", want: "?"},
		{d: pg, s: id, query: "DELETE FROM t WHERE id IN (SELECT 1)", want: "?"},
		{d: pg, s: id, query: "DELETE FROM t WHERE id IN (1, 2) AND id = 2", want: "2 one"},
		{d: pg, s: id, query: "DELETE FROM t WHERE id IN (1, n)", want: "?"},
		{d: pg, s: id, query: "DELETE FROM t WHERE EXISTS (SELECT 1 FROM u WHERE id = 5)", want: "?"},
		{d: pg, s: id, query: "DELETE FROM t AS x WHERE x.id = 5", want: "5 one"},
		{d: pg, s: id, query: "DELETE FROM t x USING u AS t WHERE t.id = 5", want: "?"},
		{d: pg, s: id, query: "DELETE FROM t USING u WHERE u.id = 5", want: "?"},
		{d: pg, s: id, query: "DELETE FROM s.t WHERE s.t.id = 5", want: "5 one"},
		{d: pg, s: id, query: "DELETE FROM t WHERE id = $2 AND n = $1", args: []any{1, int32(7)}, want: "7 one"},
		{d: pg, s: id, query: "DELETE FROM t WHERE id = $3", args: []any{1, 2}, want: "?"},
		{d: sqlite, s: id, query: "DELETE FROM t WHERE n = ? AND id = ?", args: []any{1, 7}, want: "7 one"},
		{d: sqlite, s: id, query: "DELETE FROM t WHERE n = ?2 AND id = ?", args: []any{1, 7, 8}, want: "?"},
		{d: sqlite, s: id, query: "DELETE FROM t WHERE id = :id", args: []any{1}, want: "?"},
		{d: pg, s: id, query: "DELETE FROM t WHERE id = 5 RETURNING n, id", want: "5 one returns [1]"},
		{d: pg, s: id, query: "DELETE FROM t RETURNING t.id AS x, n", want: "? returns [0]"},
		{d: pg, s: id, query: "DELETE FROM t RETURNING n AS id", want: "?"},
		{d: pg, s: id, query: "DELETE FROM t RETURNING id + 1", want: "?"},
		{d: pg, s: id, query: "DELETE FROM t USING u RETURNING u.id", want: "?"},
		{d: pg, s: id, query: "DELETE FROM t RETURNING *", want: "? returns by name"},
		{d: pg, s: id, query: "DELETE FROM t RETURNING (id)", want: "?"},
		{d: pg, s: id, query: "DELETE FROM t USING u RETURNING u.*, id", want: "?"},
		{d: pg, s: id, query: "DELETE FROM t RETURNING count(*), id", want: "? returns [1]"},
		{d: sqlite, s: id, query: "DELETE FROM t WHERE id = 5 ORDER BY n LIMIT 1", want: "5 one"},
		{d: pg, s: id, query: "DELETE FROM t", want: "?"},

		{d: pg, s: id, query: "UPDATE t SET n = 1 WHERE id = 5", want: "5 one"},
		{d: pg, s: id, query: "UPDATE t SET n = 1, id = 6 WHERE id = 5", want: "5 6"},
		{d: pg, s: id, query: "UPDATE t SET n = 1, id = id + 1 WHERE id = 5", want: "?"},
		{d: pg, s: id, query: "UPDATE t SET (n, id) = (1, 6) WHERE id = 5", want: "?"},
		{d: pg, s: id, query: "UPDATE t SET n = m IS DISTINCT FROM k, id = 9 WHERE id = 5", want: "5 9"},
		{d: pg, s: id, query: "UPDATE t SET n = f(1, id) WHERE id = 5", want: "5 one"},
		{d: pg, s: id, query: `UPDATE "t" SET n = 1 WHERE "ID" = 5`, want: "?"},
		{d: sqlite, s: id, query: `UPDATE "t" SET n = 1 WHERE "ID" = 5`, want: "5 one"},
		{d: pg, s: id, query: "UPDATE t SET n = 1 FROM u WHERE t.id = u.id AND u.id = 5", want: "?"},
		{d: sqlite, s: id, query: "UPDATE OR REPLACE t SET n = 1 WHERE id = 5", want: "?"},
		{d: pg, s: id, query: `WITH d (id, n) AS (VALUES (1::BIGINT, 2), (3, 4)) UPDATE t AS x SET n = d.n FROM d WHERE (x.id = d.id)`, want: "1 3"},
		{d: pg, s: id, query: `WITH d (n, id) AS (VALUES (1, 2), (3, 4)) UPDATE t SET n = d.n FROM d WHERE t.id = d.id`, want: "2 4"},
		{d: pg, s: id, query: `WITH d (id) AS (SELECT 1) UPDATE t SET n = 1 FROM d WHERE t.id = d.id`, want: "?"},
		{d: pg, s: id, query: `WITH d (id) AS (VALUES (1)) UPDATE t SET n = 1 FROM u AS d WHERE t.id = d.id`, want: "?"},
		{d: pg, s: id, query: `WITH d (id) AS (VALUES (1)) UPDATE t SET n = 1 FROM d, u WHERE t.id = u.id`, want: "?"},
		{d: pg, s: id, query: `WITH d (id) AS (VALUES (1 + 1)) UPDATE t SET n = 1 FROM d WHERE t.id = d.id`, want: "?"},

		{d: pg, s: pair, query: "DELETE FROM t WHERE a = 1 AND b = 'x'", want: "1,x one"},
		{d: pg, s: pair, query: "DELETE FROM t WHERE a IN (1, 2) AND b IN ('x', 'y')", want: "1,x 1,y 2,x 2,y"},
		{d: pg, s: pair, query: "DELETE FROM t WHERE a = 1", want: "?"},
		{d: pg, s: pair, query: "DELETE FROM t WHERE (t.b, t.a) IN (('x', 1), ('y', 2))", want: "1,x 2,y"},
		{d: sqlite, s: pair, query: "DELETE FROM t WHERE (a, b) IN (VALUES (1, 'x'), (2, 'y'))", want: "1,x 2,y"},
		{d: pg, s: pair, query: "DELETE FROM t WHERE (a, n) IN ((1, 1))", want: "?"},
		{d: pg, s: pair, query: "UPDATE t SET b = 'z' WHERE a = 1 AND b = 'x'", want: "?"},

		{d: pg, s: id, query: "INSERT INTO t (id, n) VALUES (1, 2)", want: "1 one"},
		{d: pg, s: id, query: "INSERT INTO t (n, id) VALUES (f(1, 2), 2), ((3), 4)", want: "2 4"},
		{d: pg, s: id, query: "INSERT INTO t (n) VALUES (1)", want: "? one"},
		{d: pg, s: id, query: "INSERT INTO t VALUES (1, 2)", want: "? one"},
		{d: pg, s: id, query: "INSERT INTO t (id, n) VALUES (DEFAULT, 2), (3, 4)", want: "?"},
		{d: pg, s: id, query: "INSERT INTO t (id, n) VALUES (DEFAULT, 2) RETURNING id", want: "? one returns [0]"},
		{d: sqlite, s: id, query: "INSERT INTO t (id, n) VALUES (NULL, 2)", want: "? one generated"},
		{d: sqlite, s: id, query: "INSERT INTO t (n) VALUES (2)", want: "? one generated"},
		{d: sqlite, s: id, query: "INSERT INTO t (n, id) VALUES ((1, 2), NULL + 1)", want: "? one"},
		{d: sqlite, s: id, query: "INSERT INTO t (n, id) VALUES (f(1, 2), NULL)", want: "? one generated"},
		{d: mysql, s: id, query: "INSERT INTO t (id, n) VALUES (0, 2)", want: "? one generated"},
		{d: sqlite, s: id, query: "INSERT INTO t (id, n) VALUES (0, 2)", want: "0 one"},
		{d: pg, s: id, query: "INSERT INTO t (id) SELECT 5", want: "?"},
		{d: sqlite, s: id, query: "INSERT OR REPLACE INTO t (id) VALUES (1)", want: "?"},
		{d: pg, s: id, query: "INSERT INTO t (id) VALUES (1) ON CONFLICT DO NOTHING", want: "1 one"},
		{d: pg, s: id, query: "INSERT INTO t (id, n) VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n", want: "1 one"},
		{d: pg, s: id, query: "INSERT INTO t (id, n) VALUES (1, 2) ON CONFLICT (n) DO UPDATE SET n = 3", want: "? one"},
		{d: pg, s: id, query: "INSERT INTO t (id, n) VALUES (1, 2) ON CONFLICT ON CONSTRAINT t_pkey DO UPDATE SET n = 3", want: "? one"},
		{d: pg, s: id, query: "INSERT INTO t (id, n) VALUES (1, 2) ON CONFLICT (id, n) DO UPDATE SET n = 3", want: "? one"},
		{d: pg, s: id, query: "INSERT INTO t (id, n) VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET n = 1, id = 7 WHERE true", want: "?"},
		{d: pg, s: pair, query: "INSERT INTO t (a, b) VALUES (1, 'x') ON CONFLICT (b, a) DO UPDATE SET n = 3 RETURNING b, a", want: "1,x one returns [1 0]"},
		{d: mysql, s: id, query: "INSERT INTO t (id, n) VALUES (1, 2) ON DUPLICATE KEY UPDATE n = 3", want: "? one"},
		{d: sqlite, s: id, query: "INSERT INTO t (id, n) VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET n = 1 ON CONFLICT (n) DO UPDATE SET n = 2", want: "? one"},

		{d: pg, s: text, query: `DELETE FROM t WHERE "Code" = 'it''s'`, want: "it%27s one"},
		{d: pg, s: text, query: `DELETE FROM t WHERE "Code" = 5`, want: "?"},
		{d: pg, s: text, query: `DELETE FROM t WHERE "Code" = E'a\n'`, want: "?"},
		{d: pg, s: text, query: `DELETE FROM t WHERE "Code" = 'a' 'b'`, want: "?"},
		{d: pg, s: text, query: `DELETE FROM t WHERE "Code" COLLATE "x" = 'a'`, want: "?"},
		{d: pg, s: text, query: `DELETE FROM t WHERE "Code" = $1`, args: []any{"a"}, want: "a one"},
		{d: pg, s: text, query: `DELETE FROM t WHERE "Code" = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'`, want: "?"},
		{d: pg, s: text, query: `DELETE FROM t WHERE "Code" = '{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}'`, want: "?"},
		{d: pg, s: text, query: `DELETE FROM t WHERE "Code" = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'`, want: "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 one"},
		{d: pg, s: text, query: `INSERT INTO t ("Code") VALUES ('a ')`, want: "? one"},
		{d: pg, s: folded, query: "DELETE FROM t WHERE code = 'a'", want: "?"},
		{d: pg, s: folded, query: "INSERT INTO t (code) VALUES ('a')", want: "? one"},
		{d: sqlite, s: blob, query: "DELETE FROM t WHERE h = X'00ff'", want: driver.KeyOf([]byte{0, 255}).String() + " one"},
		{d: pg, s: blob, query: `DELETE FROM t WHERE h = '\x00ff'`, want: driver.KeyOf([]byte{0, 255}).String() + " one"},
		{d: pg, s: blob, query: `DELETE FROM t WHERE h = 'abc'`, want: "?"},
		{d: pg, s: flag, query: "DELETE FROM t WHERE f = TRUE", want: "true one"},
		{d: sqlite, s: flag, query: "DELETE FROM t WHERE f = 0", want: "false one"},
		{d: pg, s: amount, query: "DELETE FROM t WHERE d = 1.50", want: "1.5 one"},
		{d: pg, s: amount, query: "INSERT INTO t (d) VALUES (1.505)", want: "? one"}, // numeric(10,2) rounds
		{d: pg, s: amount, query: "INSERT INTO t (d) VALUES (18446744073709551615)", want: "18446744073709551615 one"},
		{d: pg, s: float, query: "DELETE FROM t WHERE x = 1.5", want: "?"},
		{d: pg, s: float, query: "DELETE FROM t RETURNING x", want: "?"},
		{d: pg, s: at, query: "INSERT INTO t (at) VALUES ('2026-01-02 12:00:00+00:00')", want: "? one"}, // may be a date
		{d: sqlite, s: at, query: "INSERT INTO t (at) VALUES ('2026-01-02 12:00:00+00:00')", want: driver.KeyOf(noon).String() + " one"},
		{d: sqlite, s: at, query: "INSERT INTO t (at) VALUES ('2026-01-02 12:00:00')", want: "? one"},
	} {
		if got := proveKeys(t, c.d, c.s, c.query, c.args...); got != c.want {
			t.Errorf("%v: %s %v\n\tproves %q, want %q", c.d, c.query, c.args, got, c.want)
		}
	}
}

// FuzzParse takes any text apart, and holds the tokens against the text.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"INSERT INTO t (id, n) VALUES (1, 'a''b'), (DEFAULT, $1) ON CONFLICT (id) DO UPDATE SET n = 1 RETURNING *",
		"WITH d (id) AS (VALUES (1)) UPDATE t AS x SET n = 1 FROM d WHERE (x.id = d.id) RETURNING x.id",
		"UPDATE t SET n = 1 WHERE (a, b) IN ((1, 'x')) AND id = -5::int -- x",
		"BEGIN; SAVEPOINT a; RELEASE a; COMMIT AND CHAIN", "UPDATE a JOIN b SET c = 1", "$a$ $a$ E'\\'' X'00' U&'x' [x] `y` \"z\" /* /* */ */ # x",
		"INSERT", "INSERT INTO", "INSERT INTO t (", "UPDATE t SET", "DELETE FROM t RETURNING", "WITH", "WITH a AS (", "(((", ")))", "COPY t (", "t.", "'", "\"", "INSERT INTO A()VALUES (", "COPY \"",
	} {
		f.Add(seed)
	}
	tables := []*driver.Schema{
		testTable(keyColumn("id", value.KindInt, filter.Exact)),
		testTable(keyColumn("a", value.KindInt, filter.Exact), keyColumn("b", value.KindText, filter.Exact)),
	}
	f.Fuzz(func(t *testing.T, query string) {
		for _, d := range []dialect.Name{dialect.SQLite, dialect.PG, dialect.MySQL, dialect.MSSQL} {
			toks, _ := lex(nil, query, d)
			last := int32(0)
			for _, tok := range toks {
				if tok.pos < last || tok.end <= tok.pos || int(tok.end) > len(query) || tok.depth < 0 {
					t.Fatalf("%v: token %+v after %d in %q", d, tok, last, query)
				}
				last = tok.end
			}
			p := parse(query, d)
			if p == nil {
				continue
			}
			args := []sqldriver.NamedValue{{Ordinal: 1, Value: int64(1)}}
			for i := range p.ops {
				for _, s := range tables {
					if p.ops[i].kind == opWrite {
						boundEffectOf(p, &p.ops[i].write, s, args)
					}
				}
			}
			p.release()
		}
	})
}
