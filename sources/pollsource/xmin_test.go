package pollsource

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
)

func TestXMinFindsWhatChanged(t *testing.T) {
	db := openPostgres(t)
	exec(t, db, `CREATE TABLE items (id int PRIMARY KEY, name text)`, `INSERT INTO items SELECT n, 'x' FROM generate_series(1, 5) AS n`)
	l := watch(t, XMin(db, 0), items("items"))
	l.next()
	l.wantsQuiet()

	exec(t, db, `UPDATE items SET name = 'y' WHERE id IN (2, 3)`, `DELETE FROM items WHERE id = 4`, `INSERT INTO items VALUES (9, 'z')`)
	l.wants(2, 3, 4, 9)
	l.wantsQuiet()

	exec(t, db, `UPDATE items SET id = 10 WHERE id = 9`)
	l.wants(9, 10)
	exec(t, db, `VACUUM FULL items`, `VACUUM FREEZE items`)
	l.wantsQuiet()

	// A transaction that is long, and one that is rolled back.
	long := begin(t, db, `UPDATE items SET name = 'late' WHERE id = 1`)
	back := begin(t, db, `UPDATE items SET name = 'never' WHERE id = 5`)
	exec(t, db, `UPDATE items SET name = 'early' WHERE id = 2`)
	l.wants(2)
	commit(t, long)
	if err := back.Rollback(); err != nil {
		t.Fatal(err)
	}
	l.wants(1)

	// What comes and goes between two looks is left to the full pass.
	exec(t, db, `INSERT INTO items VALUES (9, 'z')`, `DELETE FROM items WHERE id = 9`)
	l.wantsQuiet()

	exec(t, db, `TRUNCATE items`)
	l.wants(1, 2, 3, 5, 10)
	l.wantsQuiet()
}

func TestXMinBeyondMaxRows(t *testing.T) {
	db := openPostgres(t)
	exec(t, db, `CREATE TABLE items (id int PRIMARY KEY, name text) PARTITION BY RANGE (id)`,
		`CREATE TABLE items1 PARTITION OF items FOR VALUES FROM (0) TO (5)`,
		`CREATE TABLE items2 PARTITION OF items FOR VALUES FROM (5) TO (100)`,
		`INSERT INTO items SELECT n, 'x' FROM generate_series(1, 8) AS n`)
	l := watch(t, XMin(db, 8), items("items"))
	l.next()
	exec(t, db, `UPDATE items SET name = 'y' WHERE id = 8`)
	l.wants(8)
	exec(t, db, `INSERT INTO items VALUES (9, 'x')`)
	l.wants(9)
	l.wantsQuiet()
	exec(t, db, `UPDATE items SET name = 'y' WHERE id = 3`)
	l.wants(3)
	exec(t, db, `UPDATE items SET name = 'z' WHERE id = 3`, `INSERT INTO items VALUES (10, 'x'), (11, 'x')`)
	l.wants(3, 10, 11)
	exec(t, db, `UPDATE items SET id = 12 WHERE id = 11`)
	l.wants("*") // which is gone is not known
	l.wantsQuiet()
	exec(t, db, `DELETE FROM items WHERE id > 5`)
	l.wants("*") // 5 are not few enough to go back to keys
	l.wantsQuiet()
	exec(t, db, `DELETE FROM items WHERE id = 5`)
	l.wants("*")
	exec(t, db, `UPDATE items SET name = 'z' WHERE id = 1`, `DELETE FROM items WHERE id = 2`)
	l.wants(1, 2)
	l.wantsQuiet()
}

func TestXMinKeysOfAllKinds(t *testing.T) {
	db := openPostgres(t)
	exec(t, db, `CREATE SCHEMA "My Shop"`, `CREATE TABLE "My Shop"."Play""list" (
		"Id" uuid, "Größe" numeric(10,2), at timestamptz, day timestamp, raw bytea, ok boolean, big bigint, name text,
		PRIMARY KEY ("Id", "Größe", at, day, raw, ok, big, name))`)
	schema := driver.Schema{Table: driver.Table{Schema: "My Shop", Name: `Play"list`}}
	for _, c := range []struct {
		name string
		kind value.Kind
	}{
		{"Id", value.KindText},
		{"Größe", value.KindDecimal},
		{"at", value.KindTime},
		{"day", value.KindTime},
		{"raw", value.KindBytes},
		{"ok", value.KindBool},
		{"big", value.KindInt},
		{"name", value.KindText},
	} {
		schema.Key = append(schema.Key, c.name)
		schema.Columns = append(schema.Columns, driver.Column{Name: c.name, Kind: c.kind})
	}
	l := watch(t, XMin(db, 0), schema)
	l.next()
	exec(t, db, `INSERT INTO "My Shop"."Play""list" VALUES ('0F8FAD5B-d9cb-469f-a165-70867728950e', 12.50, '2026-01-02 03:04:05.123456+02',
		'2026-01-02 03:04:05', '\x00ff', true, 9223372036854775807, 'ä,b')`)
	want, err := schema.ParseKey("0f8fad5b-d9cb-469f-a165-70867728950e", "12.5", "2026-01-02T01:04:05.123456Z",
		"2026-01-02T03:04:05Z", value.Bytes([]byte{0, 255}).String(), "true", "9223372036854775807", "ä,b")
	if err != nil {
		t.Fatal(err)
	}
	if f := l.next(); f.whole || len(f.keys) != 1 || f.keys[0] != want {
		t.Errorf("found %+v, want the key %v", f, want)
	}

	// A key that its column's kind cannot express: the table is reported whole.
	schema.Columns[slices.Index(schema.Key, "name")].Kind = value.KindInt
	l = watch(t, XMin(db, 0), schema)
	l.next()
	l.wantsQuiet()
	exec(t, db, `DELETE FROM "My Shop"."Play""list"`)
	l.wants("*")
}

// TestXMinFindsExactlyWhatChanged compares with a plain model.
func TestXMinFindsExactlyWhatChanged(t *testing.T) {
	db := openPostgres(t)
	exec(t, db, `CREATE TABLE items (id int PRIMARY KEY, name text)`)
	rapid.Check(t, func(rt *rapid.T) {
		exec(t, db, `DELETE FROM items`)
		l := watch(t, XMin(db, 0), items("items"))
		l.next()
		touched := map[int]bool{}
		there, known := map[int]bool{}, map[int]bool{} // now, and at the last look
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			id := rapid.IntRange(1, 4).Draw(rt, "id")
			switch rapid.SampledFrom([]string{"write", "delete", "look"}).Draw(rt, "step") {
			case "write":
				exec(t, db, fmt.Sprintf(`INSERT INTO items VALUES (%d, 'x') ON CONFLICT (id) DO UPDATE SET name = 'x'`, id))
				touched[id], there[id] = true, true
			case "delete":
				exec(t, db, fmt.Sprintf(`DELETE FROM items WHERE id = %d`, id))
				if there[id] {
					touched[id] = true
				}
				delete(there, id)
			case "look":
				got := map[int]bool{}
				for _, k := range l.next().keys {
					vals, err := k.Values()
					if err != nil {
						rt.Fatal(err)
					}
					var id int
					fmt.Sscan(vals[0].String(), &id)
					got[id] = true
				}
				for id := range got {
					if !touched[id] {
						rt.Fatalf("found %d, which was not touched", id)
					}
				}
				for id := range touched {
					// What came and went between two looks is nothing to find.
					if !got[id] && (there[id] || known[id]) {
						rt.Fatalf("did not find %d", id)
					}
				}
				clear(touched)
				known = maps.Clone(there)
			}
		}
	})
}

func TestXMinErrors(t *testing.T) {
	db := openPostgres(t)
	exec(t, db, `CREATE VIEW seen AS SELECT 1 AS id`)
	for name, part := range map[string]string{"missing": `"missing" does not exist`, "seen": "xmin does not exist"} {
		l := watch(t, XMin(db, 0), items(name))
		_, err := l.look(t.Context())
		wantErr(t, err, part)
	}
	wantErr(t, XMin(nil, 0).validate(), "XMin", "nil")
	wantErr(t, XMin(openSQLite(t, sqliteFile(t)), -1).validate(), "-1")
	wantErr(t, XMin(openSQLite(t, sqliteFile(t)), 0).validate(), "XMin", "pg", "sqlite")
}
