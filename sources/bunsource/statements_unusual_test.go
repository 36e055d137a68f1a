package bunsource

import (
	"context"
	"strings"
	"testing"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
)

type (
	stmtPart struct {
		bun.BaseModel `bun:"table:parts"`
		ID            int64 `bun:"id,pk"`
		N             int64 `bun:"n,notnull"`
	}
	stmtChild struct {
		bun.BaseModel `bun:"table:children"`
		ID            int64 `bun:"id,pk"`
		ItemID        int64 `bun:"item_id,notnull"`
	}
)

// unusualSetup makes tables beside those of the grammar.
var unusualSetup = map[dialect.Name][]string{
	dialect.PG: {
		`CREATE TABLE parts (id bigint PRIMARY KEY, n bigint NOT NULL) PARTITION BY RANGE (id)`,
		`CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10)`,
		`CREATE TABLE parts_2 (id bigint PRIMARY KEY, n bigint NOT NULL)`,
		`CREATE TABLE children (id bigint PRIMARY KEY, item_id integer NOT NULL REFERENCES items ON DELETE CASCADE ON UPDATE CASCADE)`,
		`CREATE VIEW item_view AS SELECT id, n FROM items`,
		`CREATE VIEW pair_view AS SELECT a, n FROM pairs`,
		`CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO pairs VALUES (NEW.a, 'v', NEW.n) ON CONFLICT DO NOTHING; RETURN NEW; END $$`,
		`CREATE TRIGGER instead INSTEAD OF INSERT ON pair_view FOR EACH ROW EXECUTE FUNCTION instead()`,
		`CREATE PROCEDURE proceed(k int) LANGUAGE plpgsql AS $$ BEGIN UPDATE items SET n = n + 1 WHERE id = k; COMMIT; UPDATE items SET n = n + 1 WHERE id = k; END $$`,
		`CREATE RULE also AS ON INSERT TO free DO ALSO INSERT INTO made (n) VALUES (NEW.f)`,
	},
	dialect.SQLite: {
		`CREATE TABLE parts (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)`,
		`CREATE TABLE children (id INTEGER PRIMARY KEY, item_id INTEGER NOT NULL REFERENCES items ON DELETE CASCADE ON UPDATE CASCADE)`,
		`CREATE VIEW pair_view AS SELECT a, n FROM pairs`,
		`CREATE TRIGGER instead INSTEAD OF INSERT ON pair_view BEGIN INSERT OR IGNORE INTO pairs VALUES (NEW.a, 'v', NEW.n); END`,
	},
}

// unusualScripts are statements that the grammar does not make. Those of one script run
// one after the other, over one connection. Whatever a statement does, the bindings show
// it at the end of the script, or at the statement that ends its transaction.
var unusualScripts = map[dialect.Name][]string{
	dialect.PG: {
		"INSERT INTO items (id, n) VALUES (1, 1), (2, 2), (3, 3)",
		"INSERT INTO children VALUES (1, 1), (2, 2)",
		"TRUNCATE items CASCADE",
		"INSERT INTO parts VALUES (1, 1)",
		"INSERT INTO parts_1 VALUES (2, 2)",
		"UPDATE parts_1 SET n = 5 WHERE id = 2",
		"UPDATE ONLY parts_1 SET n = n + 1",
		"INSERT INTO parts_2 VALUES (11, 1)",
		"ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (10) TO (20)",
		"UPDATE parts SET id = 12 WHERE id = 2", // moves to the other partition
		"ALTER TABLE parts DETACH PARTITION parts_2",
		"ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (10) TO (20); TRUNCATE parts_1",
		"DROP TABLE parts_2",
		"INSERT INTO item_view VALUES (7, 7)",
		"INSERT INTO pair_view VALUES (7, 7)",
		"MERGE INTO ONLY items AS i USING items AS j ON i.id = j.id + 1 WHEN MATCHED AND i.n > 1 THEN UPDATE SET n = i.n + 1 WHEN NOT MATCHED THEN DO NOTHING",
		"CALL proceed(7)",
		"CALL public.\"proceed\" (7)",
		"INSERT INTO free VALUES (7, 7)", // its rule inserts into another table
		"DO $$ BEGIN EXECUTE 'UPDATE ' || 'items SET n = n + 1'; END $$",
		"DO LANGUAGE plpgsql $a$ BEGIN PERFORM 1; UPDATE pairs SET n = n + 1; END $a$",
		"UPDATE items SET t = E'\\'; DELETE FROM items --' WHERE id = 7",
		"UPDATE items SET t = $q$'; $x$ DELETE FROM made; $q$ WHERE id = 7; DELETE FROM pairs",
		"/* UPDATE /* nested */ pairs */ UPDATE items SET n = n + 1 -- WHERE id = 0",
		"SELECT 1; UPDATE items SET n = n + 1; SELECT 2",
		"SELECT id INTO TEMP picked FROM items; UPDATE items SET n = 0 WHERE id IN (SELECT id FROM picked)",
		"WITH gone AS (DELETE FROM items WHERE id = 7 RETURNING *) INSERT INTO made (n) SELECT n FROM gone RETURNING id",
		"BEGIN | SAVEPOINT a | INSERT INTO items (id, n) VALUES (8, 8) | ROLLBACK TO a | INSERT INTO items (id, n) VALUES (9, 9) | RELEASE a | COMMIT",
		"BEGIN | INSERT INTO items (id, n) VALUES (8, 8) | ROLLBACK AND CHAIN | INSERT INTO items (id, n) VALUES (8, 9) | COMMIT AND CHAIN | DELETE FROM items WHERE id = 9 | END",
		"BEGIN | DECLARE c CURSOR FOR SELECT * FROM items FOR UPDATE | FETCH c | UPDATE items SET n = 77 WHERE CURRENT OF c | COMMIT",
		"ALTER TABLE items DISABLE TRIGGER ALL; DELETE FROM items WHERE n > 0; ALTER TABLE items ENABLE TRIGGER ALL",
		"CREATE TABLE items_new (LIKE items INCLUDING ALL); INSERT INTO items_new (id, n) VALUES (21, 21); ALTER TABLE children DROP CONSTRAINT children_item_id_fkey; ALTER TABLE items RENAME TO items_old; ALTER TABLE items_new RENAME TO items",
		"UPDATE items SET n = 22",
		"ALTER TABLE items ALTER n TYPE integer USING n + 1",
	},
	dialect.SQLite: {
		"INSERT INTO items (id, n) VALUES (1, 1), (2, 2), (3, 3)",
		"INSERT INTO children VALUES (1, 1), (2, 2)",
		"PRAGMA foreign_keys = ON",
		"UPDATE items SET id = 11 WHERE id = 1", // cascades
		"DELETE FROM items WHERE id = 11",       // cascades
		"INSERT INTO pair_view VALUES (7, 7)",
		"REPLACE INTO items (id, n) VALUES (2, 9)", // cascades
		"DELETE FROM children; DELETE FROM items",  // the truncate optimisation
		"INSERT INTO items (id, n) VALUES (2, 9); DELETE FROM items WHERE id = 2; INSERT INTO items (n) VALUES (4)", // the number of a row is used again
		"UPDATE items SET rowid = rowid + 5",
		"UPDATE items SET (id, n) = (SELECT 30, 31)",
		"INSERT INTO parts VALUES (1, 1), (2, 2)",
		"UPDATE parts SET n = j.n FROM (SELECT id AS i, n * 10 AS n FROM parts) AS j WHERE j.i = parts.id",
		"SAVEPOINT a | INSERT INTO parts VALUES (3, 3) | ROLLBACK TO a | INSERT INTO parts VALUES (4, 4) | RELEASE a",
		"BEGIN | SAVEPOINT a | DELETE FROM parts | SAVEPOINT b | INSERT INTO parts VALUES (5, 5) | ROLLBACK TO b | RELEASE a | COMMIT",
		"BEGIN EXCLUSIVE | INSERT INTO parts VALUES (6, 6) | END TRANSACTION",
		"/* ; */ UPDATE parts SET n = 7 -- ; DELETE FROM parts",
		"SELECT 1; UPDATE parts SET n = 8; SELECT 2",
		"UPDATE OR ROLLBACK parts SET n = 9",
		"WITH RECURSIVE r (x) AS (VALUES (10) UNION ALL SELECT x + 1 FROM r WHERE x < 13) INSERT INTO parts SELECT x, x FROM r",
		"UPDATE main.parts SET n = n + 1 WHERE id = 10 RETURNING id",
		"CREATE TEMP TRIGGER tt AFTER INSERT ON free BEGIN UPDATE parts SET n = n + 100; END | INSERT INTO free VALUES (9, 9)",
		"ATTACH ':memory:' AS side | CREATE TABLE side.parts (id INTEGER PRIMARY KEY, n INTEGER) | INSERT INTO side.parts VALUES (1, 1) | INSERT INTO main.parts SELECT id + 40, n FROM side.parts",
		"CREATE TABLE parts_new (id INTEGER PRIMARY KEY, n INTEGER NOT NULL); INSERT INTO parts_new VALUES (90, 90); DROP TABLE parts; ALTER TABLE parts_new RENAME TO parts",
		"UPDATE parts SET n = 91",
		"BEGIN; CREATE TABLE parts_new (id INTEGER PRIMARY KEY, n INTEGER NOT NULL); INSERT INTO parts_new VALUES (92, 92); DROP TABLE parts; ALTER TABLE parts_new RENAME TO parts; COMMIT",
		"ALTER TABLE parts ADD COLUMN m INTEGER DEFAULT 3; ALTER TABLE parts DROP COLUMN m; VACUUM",
	},
}

// What statements do that are rare, or reach a table by way of another one, is shown too.
func TestUnusualStatements(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		d    dialect.Name
	}{{"sqlite", dialect.SQLite}, {"postgres", dialect.PG}} {
		t.Run(c.name, func(t *testing.T) {
			b := bindStatements(t, c.d, false, func(b *boundStatements) {
				for _, statement := range unusualSetup[c.d] {
					mustExec(t, b.plain, statement)
				}
				bindTable[stmtPart](t, b, "parts")
				bindTable[stmtChild](t, b, "children")
			})
			conn, err := b.db.DB.Conn(t.Context())
			must(t, conn, err)
			defer conn.Close()
			for _, script := range unusualScripts[c.d] {
				for _, statement := range strings.Split(script, " | ") {
					if _, err := conn.ExecContext(context.Background(), statement); err != nil {
						t.Errorf("%s: %v", statement, err)
					}
				}
				if d := b.check(t); d != "" {
					t.Errorf("after %s\n\t%s", script, d)
				}
			}
		})
	}
}
