package pgtest

import (
	"strings"
	"testing"
)

// What a test leaves behind never reaches the test that gets its database next.
func TestDatabasesAreEmptiedForOthers(t *testing.T) {
	s := Shared(t)
	nameOf := func(dsn string) string {
		return strings.TrimSuffix(dsn[strings.LastIndex(dsn, "/")+1:], "?sslmode=disable")
	}
	for _, c := range []struct {
		name   string
		makes  []string
		reused bool // another test gets the database
	}{
		{"nothing", nil, true},
		{"objects", []string{
			"CREATE TABLE a (id int PRIMARY KEY, t text)", "CREATE SCHEMA other", "CREATE VIEW other.v AS SELECT * FROM a",
			"CREATE TYPE mood AS ENUM ('good')", "CREATE FUNCTION f() RETURNS mood LANGUAGE sql AS $$ SELECT 'good'::mood $$",
			"CREATE PUBLICATION p FOR ALL TABLES", "CREATE EXTENSION IF NOT EXISTS citext SCHEMA other", "CREATE SEQUENCE s",
			"DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET work_mem = ''1MB'''; END $$",
		}, true},
		{"no schema public", []string{"DROP SCHEMA public"}, true},
		{"a large object", []string{"SELECT lo_create(0)"}, false},
		{
			"a replication slot",
			[]string{"SELECT 1 FROM pg_create_logical_replication_slot('left', 'pgoutput')"},
			false,
		},
	} {
		var name string
		t.Run(c.name, func(t *testing.T) {
			name = nameOf(s.CreateDatabase(t))
			for _, statement := range c.makes {
				if out, err := s.psql(name, statement); err != nil && !strings.Contains(statement, "citext") { // which may not be installed
					t.Fatalf("%s: %v\n%s", statement, err, out)
				}
			}
		})
		other := nameOf(s.CreateDatabase(t))
		if got := other == name; got != c.reused && s.copies != "" {
			t.Errorf("after %s another test gets the database: %t, want %t", c.name, got, c.reused)
		}
		if got := s.Exec(t, other, isEmpty); got != "t" {
			t.Errorf("after %s the next database is not empty", c.name)
		}
		s.Exec(t, other, "CREATE TABLE a (id int PRIMARY KEY)") // rights are as they were
	}
}
