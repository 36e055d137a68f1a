package sqltext

import (
	"strings"
	"testing"
)

// describe writes what a text does in short: the tables that it writes, * for
// any, and what it does to transactions.
func describe(p *Text) string {
	if p == nil {
		return ""
	}
	names := map[Effect]string{
		WriteAny: "*", Begin: "begin", Commit: "commit", CommitChain: "commit+begin", CommitImplicit: "implicit",
		Rollback: "rollback", RollbackChain: "rollback+begin", Unknown: "?", UnknownForGood: "??",
	}
	var out []string
	for _, o := range p.Ops {
		switch o.Effect {
		case WriteTable:
			out = append(out, strings.TrimPrefix(o.Write.Target.Schema+"."+o.Write.Target.Name, "."))
		case Savepoint:
			out = append(out, "savepoint "+o.Name)
		case ReleasePoint:
			out = append(out, "release "+o.Name)
		default:
			out = append(out, names[o.Effect])
		}
	}
	return strings.Join(out, " ")
}

func TestWhatAStatementWrites(t *testing.T) {
	all := []Dialect{SQLite, Postgres, MySQL}
	for _, c := range []struct {
		query, want string
		dialects    []Dialect // nil: all
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
		{query: "INSERT INTO `a b` VALUES (1)", want: "a b", dialects: []Dialect{SQLite, MySQL}},
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
		{query: "UPDATE a JOIN (SELECT 1) AS s SET a.y = 1", want: "*", dialects: all[2:]}, // (b JOIN c) may be set as well
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
		{query: "CALL f()", want: "*", dialects: all[:2]},
		{query: "CALL f()", want: "? *", dialects: all[2:]}, // it may commit
		{query: "DO $$ BEGIN DELETE FROM x; COMMIT; END $$", want: "*", dialects: all[1:2]},
		{query: "DO $a$ ; $$ ; $a$; DELETE FROM x", want: "* x", dialects: all[1:2]},
		{query: "CREATE INDEX i ON x (a)", want: "", dialects: all[:2]},
		{query: "DROP TABLE x", want: "*", dialects: all[:2]},
		{query: "DROP TABLE x", want: "implicit *", dialects: all[2:]},
		{query: "CREATE TRIGGER t AFTER INSERT ON x BEGIN DELETE FROM y; END", want: "* ?", dialects: all[:1]},
		{query: "EXPLAIN DELETE FROM x", want: ""},
		{query: "EXPLAIN (ANALYZE) DELETE FROM x", want: "*", dialects: all[1:2]},
		{query: "PRAGMA foreign_keys = ON", want: "", dialects: all[:1]},
		{query: "SET autocommit = 0", want: "implicit ??", dialects: all[2:]},
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
		{query: "frobnicate x", want: "*", dialects: all[:2]},
		{query: "DELETE FROM x WHERE a = 'it''s; DELETE FROM y'", want: "x"},
		{query: `DELETE FROM x WHERE a = 'it\'; DELETE FROM y; --'`, want: "* ?", dialects: all[2:]}, // by sql_mode
		{query: `DELETE FROM x WHERE a = 'it\\'; DELETE FROM y; -- '`, want: "x y", dialects: all[2:]},
		{query: `DELETE FROM x WHERE a = 'it\'; DELETE FROM y; --'`, want: "x y", dialects: all[:2]},
		{query: `DELETE FROM x WHERE a = E'it\'; DELETE FROM y; --'`, want: "x", dialects: all[1:2]},
		{query: "DELETE FROM x # ; DELETE FROM y", want: "x", dialects: all[2:]},
		{query: "DELETE FROM x WHERE a = 5--3; DELETE FROM y", want: "x y", dialects: all[2:]},
		{query: "DELETE FROM x WHERE a = 5--3; DELETE FROM y", want: "x", dialects: all[:2]},
		{query: "DELETE FROM x /* /* */ ; DELETE FROM y /* */ */", want: "x", dialects: all[1:2]},
		{query: "DELETE FROM x /* /* */ ; DELETE FROM y", want: "x y", dialects: []Dialect{SQLite, MySQL}},
		{query: "/*!50000 DELETE FROM x */", want: "* ?", dialects: all[2:]},
		{query: "SELECT 1 DELETE FROM x", want: "*", dialects: []Dialect{Other}},
		{query: "SELECT 1", want: "", dialects: []Dialect{Other}},
		{query: "DECLARE x INT; BEGIN UPDATE y SET z = 1; END;", want: "* ?", dialects: []Dialect{Other}},

		// What the grammar does not read makes the answer wide.
		{query: "INSERT INTO x (a) VALUES (1) UNION ALL SELECT a FROM y", want: "x"},
		{query: "INSERT INTO x DEFAULT VALUES", want: "x", dialects: all[:2]},
		{query: "INSERT INTO x SET a = 1", want: "x", dialects: all[2:]},
		{query: "INSERT x VALUES (1)", want: "*", dialects: all[2:]},
		{query: "INSERT INTO x WITH a AS (SELECT 1) SELECT * FROM a", want: "x"},
		{query: "WITH a AS (WITH b AS (SELECT 1) DELETE FROM x RETURNING *) SELECT * FROM a", want: "x", dialects: all[1:2]},
		{query: "WITH a AS (WITH b AS (SELECT 1), c AS (WITH d AS (SELECT 2) UPDATE y SET z = 1 RETURNING *) INSERT INTO x SELECT * FROM c RETURNING *) SELECT * FROM a", want: "y x", dialects: all[1:2]},
		{query: "WITH a AS (SELECT * FROM (WITH b AS (DELETE FROM x RETURNING *) SELECT * FROM b) c) SELECT 1", want: "*", dialects: all[1:2]},
		{query: "INSERT INTO x WITH a AS (DELETE FROM y RETURNING *) SELECT * FROM a", want: "*", dialects: all[1:2]},
		{query: "(WITH a AS (DELETE FROM x RETURNING *) SELECT * FROM a)", want: "*", dialects: all[1:2]},
		{query: "WITH RECURSIVE a (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a) SEARCH DEPTH FIRST BY n SET o DELETE FROM x", want: "x", dialects: all[1:2]},
		{query: "WITH RECURSIVE a (n) AS (SELECT 1) SEARCH BREADTH FIRST BY n, m SET o CYCLE n, m SET c TO true DEFAULT false USING p INSERT INTO x SELECT n FROM a", want: "x", dialects: all[1:2]},
		{query: "WITH RECURSIVE a (n) AS (SELECT 1) CYCLE n SET c USING p, b AS (DELETE FROM y RETURNING 1) UPDATE x SET a = 1", want: "y x", dialects: all[1:2]},
		{query: "WITH RECURSIVE a (n) AS (SELECT 1) CYCLE n SET c TO 'y'::text DEFAULT 'n' USING p DELETE FROM x", want: "*", dialects: all[1:2]},
		{query: "WITH a AS (SELECT 1) FROBNICATE DELETE FROM x", want: "*"},
		{query: "WITH a AS (FROBNICATE x) SELECT 1", want: "*"},
		{query: "WITH recursive AS (SELECT 1) DELETE FROM x", want: "x"},
		{query: "DELETE FROM a USING x AS a JOIN y ON true", want: "*", dialects: all[2:]},
		{query: "UPDATE (a JOIN b) SET c = 1", want: "*", dialects: all[2:]},
		{query: "UPDATE a, (b, c) SET d = 1", want: "*", dialects: all[2:]},
		{query: "UPDATE x FOR PORTION OF p FROM 1 TO 2 SET a = 1", want: "x", dialects: all[1:2]},
		{query: "UPDATE OR FROBNICATE x SET a = 1", want: "*", dialects: all[:1]},
		{query: "MERGE INTO x USING (SELECT 1) y ON true WHEN MATCHED THEN UPDATE SET a = 1 WHEN NOT MATCHED THEN INSERT VALUES (1)", want: "x", dialects: all[1:2]},
		{query: "WITH a AS (MERGE INTO x USING y ON true WHEN MATCHED THEN DELETE RETURNING *) SELECT * FROM a", want: "x", dialects: all[1:2]},
		{query: "SELECT * INTO x FROM y", want: "*", dialects: all[1:2]},
		{query: "SELECT 'into' FROM y", want: "", dialects: all[1:2]},
		{query: "WITH a AS (SELECT 1) SELECT * INTO x FROM a", want: "*", dialects: all[1:2]},
		{query: "TABLE x", want: "", dialects: all[1:]},
		{query: "COPY (DELETE FROM x RETURNING *) TO STDOUT", want: "x", dialects: all[1:2]},
		{query: "COPY (WITH a AS (DELETE FROM x RETURNING *) SELECT * FROM a) TO STDOUT", want: "x", dialects: all[1:2]},
		{query: "TRUNCATE x, y RESTART", want: "*", dialects: all[1:2]},
		{query: "EXPLAIN ANALYZE SELECT 1", want: "", dialects: all[1:]},
		{query: "EXPLAIN (ANALYZE, BUFFERS) WITH a AS (DELETE FROM x RETURNING *) SELECT 1", want: "*", dialects: all[1:2]},
		{query: "EXPLAIN ANALYZE EXECUTE p", want: "*", dialects: all[1:2]},
		{query: "PREPARE p AS DELETE FROM x", want: "", dialects: all[1:2]},
		{query: "EXECUTE p", want: "*", dialects: all[1:2]},
		{query: "DECLARE c CURSOR FOR SELECT 1", want: "", dialects: all[1:2]},
		{query: "DECLARE c CURSOR", want: "*", dialects: all[1:2]},
		{query: "GRANT UPDATE, DELETE ON x TO y", want: "", dialects: all[1:2]},
		{query: "REFRESH MATERIALIZED VIEW x", want: "*", dialects: all[1:2]},
		{query: "ATTACH 'file.db' AS y", want: "*", dialects: all[:1]},
		{query: "SHOW TABLES", want: "*", dialects: all[:1]},
		{query: "CREATE TEMP TRIGGER t AFTER INSERT ON x BEGIN DELETE FROM y; END; SELECT 1", want: "* ?", dialects: all[:1]},
		{query: "CREATE OR REPLACE DEFINER = a@b SQL SECURITY INVOKER PROCEDURE p() BEGIN COMMIT; END", want: "implicit * ?", dialects: all[2:]},
		{query: "SELECT * FROM x FOR NO KEY UPDATE OF x", want: "", dialects: all[1:2]},
		{query: "SELECT x.update FROM x", want: ""},
		{query: "SELECT 1; SELECT 2 FROM x FOR UPDATE SKIP LOCKED", want: "", dialects: all[1:]},
		{query: "INSERT INTO x VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 1 WHERE c RETURNING d", want: "x", dialects: all[:2]},
		{query: "SET @@autocommit = 0", want: "implicit ??", dialects: all[2:]},
		{query: "SET @@session.autocommit = 0", want: "implicit ??", dialects: all[2:]},
		{query: "SET completion_type = CHAIN", want: "implicit ??", dialects: all[2:]},
		{query: "SET @a = f()", want: "*", dialects: all[2:]},
		{query: "SET search_path = x", want: "", dialects: all[1:2]},
		{query: "COMMIT AND CHAIN NO RELEASE", want: "commit+begin", dialects: all[2:]},
		{query: "COMMIT RELEASE", want: "? *", dialects: all[2:]},
		{query: "BEGIN NOT ATOMIC", want: "? *", dialects: all[2:]},
		{query: "START REPLICA", want: "? *", dialects: all[2:]},
		{query: "XA COMMIT 'a'", want: "? *", dialects: all[2:]},
		{query: "ROLLBACK PREPARED 'a'", want: "", dialects: all[1:2]},
		{query: "SAVEPOINT 'a'", want: "? *", dialects: all[:1]},
		{query: "SELECT 1 /*! INTO OUTFILE 'x' */", want: "* ?", dialects: all[2:]},
		{query: "SELECT 1 /* /* */ DELETE FROM x", want: "* ?", dialects: []Dialect{Other}},
		{query: "DELETE FROM x WHERE a = '" + strings.Repeat("x", MaxText), want: "* ?"},
	} {
		dialects := c.dialects
		if dialects == nil {
			dialects = all
		}
		for _, d := range dialects {
			if got := describe(Parse(c.query, d)); got != c.want {
				t.Errorf("%v: %.100s\n\twrites %q, want %q", d, c.query, got, c.want)
			}
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
	f.Fuzz(func(t *testing.T, query string) {
		for _, d := range []Dialect{Other, SQLite, Postgres, MySQL} {
			toks, _ := lex(nil, query, d)
			last := int32(0)
			for _, tok := range toks {
				if tok.pos < last || tok.end <= tok.pos || int(tok.end) > len(query) || tok.depth < 0 {
					t.Fatalf("%v: token %+v after %d in %q", d, tok, last, query)
				}
				last = tok.end
			}
			if p := Parse(query, d); p != nil {
				for _, o := range p.Ops {
					for _, s := range []Span{o.Write.Columns, o.Write.Values, o.Write.OnTarget, o.Write.Set, o.Write.From, o.Write.Where, o.Write.Returning} {
						if s.Lo < 0 || s.Hi > p.Len() {
							t.Fatalf("%v: span %+v of %d tokens in %q", d, s, p.Len(), query)
						}
					}
				}
				p.Release()
			}
		}
	})
}
