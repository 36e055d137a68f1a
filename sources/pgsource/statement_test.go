package pgsource

import (
	"testing"
)

func TestEveryKindOfStatement(t *testing.T) {
	r := newRig(t, markerTable,
		"CREATE TABLE a (id int PRIMARY KEY, v text)",
		"CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE ON UPDATE CASCADE)",
		"CREATE TABLE unbound (id int PRIMARY KEY)",
		"CREATE PUBLICATION bindery FOR ALL TABLES",
	)
	r.watch(nil, marker, table("a", "id:int"), table("b", "id:int"))
	for _, c := range []struct{ statement, want string }{
		{"INSERT INTO a VALUES (1, 'x'), (2, 'y'), (3, 'z')", "a[1 2 3]"},
		{"UPDATE a SET v = 'w' WHERE id < 3", "a[1 2]"},
		{"UPDATE a SET id = 9 WHERE id = 3", "a[3 9]"},
		{"INSERT INTO b VALUES (1, 1), (2, 1), (3, 2)", "b[1 2 3]"},
		{"UPDATE a SET id = 10 WHERE id = 2", "a[10 2] b[3]"},
		{"DELETE FROM a WHERE id = 1", "a[1] b[1 2]"},
		{"INSERT INTO a VALUES (9, 'q') ON CONFLICT (id) DO UPDATE SET v = excluded.v", "a[9]"},
		{"MERGE INTO a USING (VALUES (9), (11)) s (id) ON a.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'm')", "a[11 9]"},
		{"INSERT INTO unbound VALUES (1)", ""},
		{"UPDATE a SET v = 'none' WHERE false", ""},
		{"DO $$ BEGIN INSERT INTO a VALUES (20); RAISE EXCEPTION 'no'; EXCEPTION WHEN OTHERS THEN INSERT INTO a VALUES (21); END $$", "a[21]"},
		{"BEGIN; INSERT INTO a VALUES (30); ROLLBACK", ""},
		{"BEGIN; INSERT INTO a VALUES (30); DELETE FROM a WHERE id = 30; INSERT INTO b VALUES (30); COMMIT", "a[30] b[30]"},
		{"COPY (SELECT 1) TO STDOUT", ""},
		{"TRUNCATE b", "b*"},
		{"TRUNCATE a CASCADE", "a* b*"},
		{"TRUNCATE a, b, unbound", "a* b*"},
		{"ALTER TABLE a ADD COLUMN extra int DEFAULT 7", ""},
		{"INSERT INTO a VALUES (40)", "a*"}, // the first change after it was altered
		{"INSERT INTO a VALUES (41)", "a[41]"},
		{"VACUUM ANALYZE a", ""},
		{"INSERT INTO a VALUES (42)", "a[42]"},
	} {
		r.exec(c.statement)
		r.expect(c.statement, c.want)
	}
}
