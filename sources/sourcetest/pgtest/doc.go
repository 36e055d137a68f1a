// Package pgtest runs throw-away Postgres servers for tests, from the binaries
// that are installed on the machine.
//
// A test that needs a server of its own, to stop it or to kill it, calls
// [Start]. Tests that only need a database share one server per package, since
// making a server takes seconds and making a database does not:
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m).Run()) }
//
//	func TestSomething(t *testing.T) {
//		dsn := pgtest.Shared(t).CreateDatabase(t)
//		…
//	}
//
// Servers listen on 127.0.0.1 and on a socket in their own directory, trust
// everyone, keep a log for logical replication (wal_level = logical), do not
// wait for the disk (fsync = off) and use the locale C. They end with the test,
// or the package's tests, that started them; on Linux also when the test binary
// dies.
//
// Where Postgres is not installed, tests skip and say what to install. With
// the environment variable BINDERY_REQUIRE_SERVERS set to 1 they fail instead,
// so that no test is skipped unseen where servers are expected. Postgres
// refuses to run as root: there it runs as the user postgres, or nobody.
package pgtest
