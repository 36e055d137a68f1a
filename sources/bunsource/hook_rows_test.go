package bunsource

import (
	"context"
	"testing"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
)

// Where the driver shows the rows that change, the hooks see what the database
// does by itself, and what no text tells.
func TestHooksSeeRows(t *testing.T) {
	h := newHookDB(t, dialect.SQLite, true)
	for _, statement := range []string{
		`CREATE TRIGGER dear AFTER UPDATE OF price ON items BEGIN UPDATE "Pairs" SET n = n + NEW.price WHERE a = NEW.id; END`,
		`CREATE TRIGGER gone BEFORE DELETE ON items BEGIN DELETE FROM people WHERE age < 35; END`,
		`CREATE TABLE parents (id INTEGER PRIMARY KEY)`,
		`CREATE TABLE children (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents ON DELETE CASCADE ON UPDATE CASCADE)`,
		`CREATE TABLE slots (id INTEGER PRIMARY KEY, place TEXT UNIQUE ON CONFLICT REPLACE) `,
		`CREATE TABLE halves (a TEXT, b TEXT, n INTEGER, PRIMARY KEY (b, a)) WITHOUT ROWID`,
		`CREATE TABLE codes (n INTEGER, code TEXT GENERATED ALWAYS AS ('c' || n) STORED UNIQUE)`,
		`INSERT INTO parents VALUES (1), (2), (3)`,
		`INSERT INTO children VALUES (10, 1), (11, 1), (12, 2)`,
		`INSERT INTO slots VALUES (1, 'left'), (2, 'right'), (3, 'top')`,
		`INSERT INTO halves VALUES ('a', 'b', 1), ('c', 'd', 2)`,
		`INSERT INTO codes (n) VALUES (1), (2)`,
		`CREATE VIEW cheap AS SELECT * FROM items WHERE price < 50`,
		`CREATE TRIGGER cheaper INSTEAD OF DELETE ON cheap BEGIN DELETE FROM items WHERE id = OLD.id; END`,
	} {
		mustExec(t, h.plain, statement)
	}
	bind := func(name string, columns ...driver.Column) {
		s := *testTable(columns...)
		s.Table.Name = name
		h.schemas = append(h.schemas, s)
		h.sink.bind(s)
	}
	bind("parents", keyColumn("id", value.KindInt, 0))
	bind("children", keyColumn("id", value.KindInt, 0))
	bind("slots", keyColumn("id", value.KindInt, 0))
	bind("halves", keyColumn("a", value.KindText, 0), keyColumn("b", value.KindText, 0))
	bind("codes", keyColumn("code", value.KindText, 0))
	for _, c := range []struct {
		what       string
		statements []string
		whole      bool // keys cannot be had
	}{
		{what: "a trigger", statements: []string{"UPDATE items SET price = price + 1 WHERE id = 2"}},
		{what: "a trigger that deletes", statements: []string{"DELETE FROM items WHERE id = 3"}},
		{what: "a cascade", statements: []string{"PRAGMA foreign_keys = ON", "DELETE FROM parents WHERE id = 1"}},
		{what: "a cascade of a new key", statements: []string{"PRAGMA foreign_keys = ON", "UPDATE parents SET id = 20 WHERE id = 2"}},
		{what: "REPLACE in the schema", statements: []string{"INSERT INTO slots VALUES (4, 'left')"}},
		{what: "REPLACE in the schema, by an update", statements: []string{"UPDATE slots SET place = 'top' WHERE id = 2"}},
		{what: "a new key under another name", statements: []string{"UPDATE slots SET rowid = 40 WHERE id = 4"}},
		{what: "a table without rowid", statements: []string{"UPDATE halves SET a = 'x' WHERE a = 'a'"}},
		{what: "a computed key", statements: []string{"UPDATE codes SET n = 5 WHERE code = 'c1'"}, whole: true},
		{what: "a view with a trigger", statements: []string{"DELETE FROM cheap WHERE id = 5"}},
		{what: "a transaction", statements: []string{"BEGIN", "DELETE FROM slots WHERE id = 3", "SAVEPOINT a", "DELETE FROM halves", "ROLLBACK TO a", "COMMIT"}},
		{what: "everything of a table", statements: []string{"DELETE FROM children"}},
		{what: "a new table in its place", statements: []string{"BEGIN", "DROP TABLE halves", "CREATE TABLE halves (b TEXT, a TEXT, n INTEGER)", "INSERT INTO halves VALUES ('y', 'x', 1)", "COMMIT"}, whole: true},
	} {
		t.Run(c.what, func(t *testing.T) {
			reports := h.check(t, false, func() {
				conn, err := h.db.Conn(t.Context())
				must(t, conn, err)
				defer conn.Close()
				for _, statement := range c.statements {
					_, err := conn.ExecContext(t.Context(), statement)
					must(t, statement, err)
				}
			})
			if _, whole := reportedKeys(reports); whole != c.whole {
				t.Errorf("reported %v", changesOf(reports))
			}
		})
	}
	t.Run("a transaction of Bun, rolled back", func(t *testing.T) {
		reports := h.check(t, false, func() {
			_ = h.db.RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
				exec(t, tx.NewUpdate().Model((*hookItem)(nil)).Set("price = 0").Where("id > 0"))
				return context.Canceled
			})
		})
		if len(reports) > 0 {
			t.Errorf("reported %v", changesOf(reports))
		}
	})
}
