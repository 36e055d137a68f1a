package pgtest

import (
	"strings"
	"testing"
)

// emptyDatabase removes what tests make in a database. It ends the connections
// that a test has left open, since those may hold locks.
const emptyDatabase = `DO $$
DECLARE name text;
BEGIN
	PERFORM pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
	FOR name IN SELECT quote_ident(pubname) FROM pg_publication LOOP EXECUTE 'DROP PUBLICATION ' || name; END LOOP;
	FOR name IN SELECT quote_ident(evtname) FROM pg_event_trigger LOOP EXECUTE 'DROP EVENT TRIGGER ' || name; END LOOP;
	FOR name IN SELECT quote_ident(extname) FROM pg_extension WHERE oid >= 16384 LOOP EXECUTE 'DROP EXTENSION ' || name || ' CASCADE'; END LOOP;
	FOR name IN SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname = 'public' OR oid >= 16384 AND nspname NOT LIKE 'pg\_%'
		LOOP EXECUTE 'DROP SCHEMA ' || name || ' CASCADE'; END LOOP;
	EXECUTE 'ALTER DATABASE ' || quote_ident(current_database()) || ' RESET ALL';
	CREATE SCHEMA public AUTHORIZATION pg_database_owner;
	GRANT USAGE ON SCHEMA public TO PUBLIC;
END $$`

// isEmpty tells whether a database is as a new one is. Objects that are not part
// of every database have a number from 16384 upwards.
const isEmpty = `SELECT NOT EXISTS (
	SELECT oid FROM pg_class WHERE oid >= 16384 UNION ALL SELECT oid FROM pg_type WHERE oid >= 16384
	UNION ALL SELECT oid FROM pg_proc WHERE oid >= 16384 UNION ALL SELECT oid FROM pg_operator WHERE oid >= 16384
	UNION ALL SELECT oid FROM pg_cast WHERE oid >= 16384 UNION ALL SELECT oid FROM pg_collation WHERE oid >= 16384
	UNION ALL SELECT oid FROM pg_namespace WHERE oid >= 16384 AND nspname <> 'public' AND nspname NOT LIKE 'pg\_%'
	UNION ALL SELECT oid FROM pg_extension WHERE oid >= 16384 UNION ALL SELECT oid FROM pg_language WHERE oid >= 16384
	UNION ALL SELECT oid FROM pg_publication UNION ALL SELECT oid FROM pg_event_trigger UNION ALL SELECT oid FROM pg_default_acl
	UNION ALL SELECT oid FROM pg_foreign_data_wrapper UNION ALL SELECT oid FROM pg_foreign_server UNION ALL SELECT oid FROM pg_largeobject_metadata
	UNION ALL SELECT subdbid FROM pg_subscription s JOIN pg_database d ON d.oid = subdbid WHERE datname = current_database()
	UNION ALL SELECT setdatabase FROM pg_db_role_setting s JOIN pg_database d ON d.oid = setdatabase WHERE datname = current_database()
	UNION ALL SELECT datoid FROM pg_replication_slots WHERE database = current_database()
	UNION ALL SELECT 1 FROM pg_prepared_xacts WHERE database = current_database()
	UNION ALL SELECT oid FROM pg_database WHERE datname = current_database() AND (datconnlimit <> -1 OR datistemplate OR datacl IS NOT NULL)
)`

// recycle empties a database for another test, and reports whether that succeeded.
// Postgres copies some hundred files to make a database, so emptying one is much
// cheaper.
func (s *Server) recycle(name string) bool {
	if s.copies == "" { // before version 15 the schema public has other rights
		return false
	}
	out, err := s.psql(name, "SET client_min_messages = warning", emptyDatabase, isEmpty)
	if err != nil || strings.TrimSpace(string(out)) != "t" {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, name)
	return true
}

// recycled returns an empty database that a test has finished with, or "".
func (s *Server) recycled() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.free)
	if n == 0 {
		return ""
	}
	name := s.free[n-1]
	s.free = s.free[:n-1]
	return name
}

// drop drops a database.
func (s *Server) drop(t testing.TB, name string) {
	t.Helper()
	// Best effort: the test may have stopped the server, and all goes with the
	// server in the end.
	if out, err := s.psql("postgres", "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil && s.running() {
		t.Logf("pgtest: dropping database %s: %v\n%s", name, err, out)
	}
}
