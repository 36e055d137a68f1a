package pgsource

import (
	"testing"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

func TestTriggersSeeEveryKindOfStatement(t *testing.T) {
	for _, o := range []Outbox{{}, {RowTriggers: true}} {
		name := "for each statement"
		if o.RowTriggers {
			name = "for each row"
		}
		t.Run(name, func(t *testing.T) {
			r := newRig(t, markerTable,
				"CREATE TABLE a (id int PRIMARY KEY, v text)",
				"CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE ON UPDATE CASCADE)",
				"CREATE TABLE unbound (id int PRIMARY KEY)",
				// What an application's own triggers write is seen as well.
				"CREATE TABLE origin (id int PRIMARY KEY)",
				"CREATE FUNCTION copy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO b VALUES (NEW.id); RETURN NULL; END $$",
				"CREATE TRIGGER copy AFTER INSERT ON origin FOR EACH ROW EXECUTE FUNCTION copy()",
			)
			schemas := []driver.Schema{marker, table("a", "id:int"), table("b", "id:int")}
			r.install(o, append(schemas, table("unbound"))...)
			r.watchTriggers(&TriggerConfig{PollInterval: time.Hour}, schemas...) // so each is notified of
			for _, c := range []struct{ statement, want string }{
				{"INSERT INTO a VALUES (1, 'x'), (2, 'y'), (3, 'z')", "a[1 2 3]"},
				{"UPDATE a SET v = 'w' WHERE id < 3", "a[1 2]"},
				{"UPDATE a SET id = 9 WHERE id = 3", "a[3 9]"},
				{"INSERT INTO b VALUES (1, 1), (2, 1), (3, 2)", "b[1 2 3]"},
				{"UPDATE a SET id = 10 WHERE id = 2", "a[10 2] b[3]"},
				{"DELETE FROM a WHERE id = 1", "a[1] b[1 2]"},
				{"INSERT INTO a VALUES (9, 'q') ON CONFLICT (id) DO UPDATE SET v = excluded.v", "a[9]"},
				{"MERGE INTO a USING (VALUES (9), (11)) s (id) ON a.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'm')", "a[11 9]"},
				{"WITH gone AS (DELETE FROM a WHERE id = 11 RETURNING id) INSERT INTO b SELECT id FROM gone", "a[11] b[11]"},
				{"INSERT INTO unbound VALUES (1)", ""},
				{"UPDATE a SET v = 'none' WHERE false", ""},
				{"DO $$ BEGIN INSERT INTO a VALUES (20); RAISE EXCEPTION 'no'; EXCEPTION WHEN OTHERS THEN INSERT INTO a VALUES (21); END $$", "a[21]"},
				{"BEGIN; INSERT INTO a VALUES (30); ROLLBACK", ""},
				{"BEGIN; INSERT INTO a VALUES (30); SAVEPOINT s; INSERT INTO a VALUES (31); ROLLBACK TO s; INSERT INTO a VALUES (32); RELEASE s; COMMIT", "a[30 32]"},
				{"BEGIN; INSERT INTO a VALUES (33); DELETE FROM a WHERE id = 33; INSERT INTO b VALUES (30); COMMIT", "a[33] b[30]"},
				{"INSERT INTO origin VALUES (70)", "b[70]"},
				{"SET session_replication_role = replica; INSERT INTO a VALUES (34); RESET session_replication_role", "a[34]"},
				{"BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO a VALUES (35); COMMIT", "a[35]"},
				{"TRUNCATE b", "b*"},
				{"TRUNCATE a CASCADE", "a* b*"},
				{"TRUNCATE a, b, unbound", "a* b*"},
				{"ALTER TABLE a ADD COLUMN extra int DEFAULT 7", ""},
				{"INSERT INTO a VALUES (40)", "a[40]"},
				{"ALTER TABLE a RENAME TO renamed; ALTER TABLE renamed RENAME TO a", ""},
				{"INSERT INTO a VALUES (42)", "a[42]"},
			} {
				r.exec(c.statement)
				r.expect(c.statement, c.want)
			}
		})
	}
}
