package pgsource

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

func TestTypesOfKeys(t *testing.T) { inBothWays(t, testTypesOfKeys) }

func testTypesOfKeys(t *testing.T, way string) {
	r := newRig(t, markerTable)
	schemas := []driver.Schema{marker}
	var statements []string
	cases := []struct{ name, sqlType, kind, literal, want string }{
		{"k_int8", "bigint", "int", "-9223372036854775808", "k_int8[-9223372036854775808]"},
		{"k_text", "text", "text", "'ä, \"x\"/%'", "k_text[%C3%A4%2C%20%22x%22%2F%25]"},
		{"k_empty", "text", "text", "''", "k_empty[]"},
		{"k_char", "char(4)", "text", "'ab'", "k_char[ab%20%20]"},
		{"k_uuid", "uuid", "text", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "k_uuid[a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11]"},
		{"k_numeric", "numeric", "decimal", "1.500", "k_numeric[1.5]"},
		{"k_nan", "numeric", "decimal", "'NaN'", "k_nan[NaN]"},
		{"k_bool", "boolean", "bool", "true", "k_bool[true]"},
		{"k_bytes", "bytea", "bytes", `'\x00ff'`, "k_bytes[00ff]"},
		{"k_tstz", "timestamptz", "time", "'2024-02-29 12:00:00.123456+02'", "k_tstz[2024-02-29T10:00:00.123456Z]"},
		{"k_ts", "timestamp", "time", "'2024-02-29 12:00'", "k_ts[2024-02-29T12:00:00Z]"},
		{"k_date", "date", "time", "'1999-12-31'", "k_date[1999-12-31T00:00:00Z]"},
		// What the log's text does not tell for certain.
		{"k_infinity", "timestamptz", "time", "'infinity'", "k_infinity*"},
		{"k_bc", "timestamptz", "time", "'0044-03-15 12:00 BC'", "k_bc*"},
		{"k_real", "real", "float", "0.1", "k_real*"},
		{"k_inet", "inet", "opaque", "'10.0.0.1'", "k_inet*"},
		{"k_uuidbytes", "uuid", "bytes", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "k_uuidbytes*"},
	}
	for _, c := range cases {
		statements = append(statements, "CREATE TABLE "+c.name+" (k "+c.sqlType+" PRIMARY KEY, v int)")
		schemas = append(schemas, table(c.name, "k:"+c.kind))
	}
	statements = append(statements,
		"CREATE TABLE composite (a int, v int, b text, c timestamptz, PRIMARY KEY (c, a, b))",
		// The database's own settings must not alter how values look.
		`DO $$ BEGIN
			EXECUTE format('ALTER DATABASE %I SET datestyle = %L', current_database(), 'SQL, DMY');
			EXECUTE format('ALTER DATABASE %I SET bytea_output = %L', current_database(), 'escape');
			EXECUTE format('ALTER DATABASE %I SET timezone = %L', current_database(), 'Asia/Kolkata');
		END $$`)
	r.exec(statements...)
	schemas = append(schemas, table("composite", "a:int", "b:text", "c:time")) // in another order
	r.watchBy(way, schemas...)
	for _, c := range cases {
		for _, statement := range []string{
			"INSERT INTO " + c.name + " VALUES (" + c.literal + ")", "UPDATE " + c.name + " SET v = 1", "DELETE FROM " + c.name,
		} {
			r.exec(statement)
			r.expect(statement, c.want)
		}
	}
	r.exec("INSERT INTO composite VALUES (1, 0, 'x,y', '2024-01-01 00:00+00')")
	r.expect("a composite insert", "composite[1,x%2Cy,2024-01-01T00:00:00Z]")
	r.exec("UPDATE composite SET b = 'z'")
	r.expect("a composite update", "composite[1,x%2Cy,2024-01-01T00:00:00Z 1,z,2024-01-01T00:00:00Z]")
	r.exec("DELETE FROM composite")
	r.expect("a composite delete", "composite[1,z,2024-01-01T00:00:00Z]")
}

// A long key is stored out of line, and is then not sent when it is not changed.
func TestKeysOutOfLine(t *testing.T) { inBothWays(t, testKeysOutOfLine) }

func testKeysOutOfLine(t *testing.T, way string) {
	long := strings.Repeat("x", 2600)
	r := newRig(t, markerTable, "CREATE TABLE long (k text PRIMARY KEY, v int, pad text)",
		"ALTER TABLE long ALTER k SET STORAGE EXTERNAL", "INSERT INTO long VALUES ('"+long+"', 0, '"+long[:1900]+"')")
	r.watchBy(way, marker, table("long", "k:text"))
	r.exec("UPDATE long SET v = v + 1")
	r.expect("an update beside the key", "long["+long+"]")
	r.exec("DELETE FROM long")
	r.expect("a delete", "long["+long+"]")
}

func TestNamesAndSchemas(t *testing.T) { inBothWays(t, testNamesAndSchemas) }

func testNamesAndSchemas(t *testing.T, way string) {
	r := newRig(t, markerTable,
		`CREATE SCHEMA "Sales Dept"`, `CREATE SCHEMA other`,
		`CREATE TABLE "Sales Dept"."Or""der" ("Key Col" int PRIMARY KEY)`,
		`CREATE TABLE other.t (id int PRIMARY KEY)`, `CREATE TABLE t (id int PRIMARY KEY)`, `CREATE TABLE other.hidden (id int PRIMARY KEY)`)
	r.dsn += "&search_path=public,other"
	schemas := []driver.Schema{marker, table(`Sales Dept.Or"der`, "Key Col:int"), table("other.t", "id:int"), table("t", "id:int"), table("hidden", "id:int")}
	if way == "log" {
		r.watch(&Config{Publication: `my "pub" 'x'`}, schemas...)
	} else {
		r.install(Outbox{Schema: "Outbox_2"}, schemas...)
		r.watchTriggers(&TriggerConfig{Outbox: "Outbox_2"}, schemas...)
	}
	r.exec(`INSERT INTO "Sales Dept"."Or""der" VALUES (1)`)
	r.expect("an insert into a quoted table", `Sales Dept.Or"der[1]`)
	r.exec(`INSERT INTO other.t VALUES (2)`)
	r.expect("an insert into other.t", `other.t[2]`)
	r.exec(`INSERT INTO t VALUES (3)`)
	r.expect("an insert into public.t", `t[3]`)
	r.exec(`INSERT INTO other.hidden VALUES (4)`)
	r.expect("an insert into a table of the search path", `hidden[4]`)
}

func TestReplicaIdentities(t *testing.T) {
	r := newRig(t, markerTable,
		"CREATE TABLE ident_full (id int, v int)", "ALTER TABLE ident_full REPLICA IDENTITY FULL",
		"CREATE TABLE ident_index (id int PRIMARY KEY, code int NOT NULL, v int)", "CREATE UNIQUE INDEX codes ON ident_index (code)",
		"ALTER TABLE ident_index REPLICA IDENTITY USING INDEX codes")
	r.watch(nil, marker, table("ident_full", "id:int"), table("ident_index", "code:int"))
	for _, c := range []struct{ statement, want string }{
		{"INSERT INTO ident_full VALUES (1, 1), (2, 2)", "ident_full[1 2]"},
		{"UPDATE ident_full SET v = 5 WHERE id = 1", "ident_full[1]"},
		{"UPDATE ident_full SET id = 3 WHERE id = 1", "ident_full[1 3]"},
		{"DELETE FROM ident_full WHERE id = 3", "ident_full[3]"},
		{"INSERT INTO ident_index VALUES (1, 10, 1)", "ident_index[10]"},
		{"UPDATE ident_index SET id = 2", "ident_index[10]"},
		{"UPDATE ident_index SET code = 11", "ident_index[10 11]"},
		{"DELETE FROM ident_index", "ident_index[11]"},
	} {
		r.exec(c.statement)
		r.expect(c.statement, c.want)
	}
}

func TestPartitionsAndChildren(t *testing.T) { inBothWays(t, testPartitionsAndChildren) }

func testPartitionsAndChildren(t *testing.T, way string) {
	r := newRig(t, markerTable,
		"CREATE TABLE p (id int, region text, v int, PRIMARY KEY (id, region)) PARTITION BY LIST (region)",
		"CREATE TABLE p_eu PARTITION OF p FOR VALUES IN ('eu')",
		"CREATE TABLE p_us PARTITION OF p FOR VALUES IN ('us') PARTITION BY RANGE (id)",
		"CREATE TABLE p_us1 PARTITION OF p_us FOR VALUES FROM (0) TO (100)",
		"CREATE TABLE parent (id int PRIMARY KEY, v int)", "CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent)")
	r.watchBy(way, marker, table("p", "id:int", "region:text"), table("p_eu", "id:int", "region:text"), table("parent", "id:int"))
	for _, c := range []struct{ statement, want string }{
		{"INSERT INTO p VALUES (1, 'eu', 0)", "p[1,eu] p_eu[1,eu]"},
		{"INSERT INTO p_us1 VALUES (2, 'us', 0)", "p[2,us]"},
		{"UPDATE p SET region = 'us' WHERE id = 1", "p[1,eu 1,us] p_eu[1,eu]"},
		{"DELETE FROM p_us WHERE id = 1", "p[1,us]"},
		{"TRUNCATE p_eu", "p* p_eu*"},
		{"TRUNCATE p_us", "p*"},
		{"TRUNCATE p", "p* p_eu*"},
		{"INSERT INTO child VALUES (5, 1)", "parent[5]"},
		{"UPDATE parent SET v = 2", "parent[5]"},
		{"DELETE FROM parent", "parent[5]"},
	} {
		r.exec(c.statement)
		r.expect(c.statement, c.want)
	}
	if way == "triggers" { // which the server gives to new partitions
		r.exec("CREATE TABLE p_asia PARTITION OF p FOR VALUES IN ('asia')", "INSERT INTO p_asia VALUES (3, 'asia', 0)")
		r.expect("an insert into a new partition", "p[3,asia]")
		r.exec("ALTER TABLE p DETACH PARTITION p_asia", "UPDATE p_asia SET v = 1")
		r.expect("an update of a table that is no partition any more", "")
		return
	}
	// A partition that nobody has seen is reported before it is looked up, and
	// by key after that.
	r.exec("CREATE TABLE p_asia PARTITION OF p FOR VALUES IN ('asia')", "INSERT INTO p_asia VALUES (3, 'asia', 0)")
	r.sink.until(t, "the new partition", func() bool {
		return slices.ContainsFunc(r.sink.reports, func(c []driver.Change) bool { return strings.Contains(describe(c), "p*") })
	})
	deadline := time.Now().Add(patient)
	for r.sink.take(); ; r.sink.take() {
		r.exec("UPDATE p_asia SET v = v + 1")
		r.sink.until(t, "an update in the new partition", func() bool { return len(r.sink.reports) > 0 })
		if strings.Contains(r.sink.take(), "p[3,asia]") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the new partition does not become known")
		}
	}
}
