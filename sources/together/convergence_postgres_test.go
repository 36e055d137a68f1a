package together_test

import (
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/pollsource"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

// nodeName is how the connections of nodes are known to the server.
const nodeName = "convergence_node"

// postgresArena is an arena whose nodes reach the server through a network
// that fails.
type postgresArena struct {
	*arena
	// network is the address of the database, as nodes see it.
	network string
	proxy   *proxy
}

// newPostgresArena makes a database on the server, which is the test's own:
// it is killed now and then.
func newPostgresArena(t *testing.T, server *pgtest.Server) *postgresArena {
	t.Helper()
	a := &postgresArena{arena: newArena(t, "pgx", server.CreateDatabase(t),
		&pgconn.PgError{Severity: "ERROR", Code: "53100", Message: "could not write to a temporary file: No space left on device"}), proxy: newProxy(t, server.Addr())}
	u, err := url.Parse(a.dsn)
	must(t, err)
	u.Host = a.proxy.addr()
	q := u.Query()
	q.Set("application_name", nodeName)
	q.Set("connect_timeout", "2")
	q.Set("lock_timeout", "100ms")
	q.Set("deadlock_timeout", "20ms")
	u.RawQuery = q.Encode()
	a.network = u.String()

	// on runs a statement past the network; the server may be away.
	on := func(statement string) func() {
		return func() { _, _ = a.plain.DB.ExecContext(t.Context(), statement) }
	}
	a.faults = append(a.faults,
		fault{"connections of nodes are ended by the server", on(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE application_name = '` + nodeName + `' AND datname = current_database() AND random() < 0.7`)},
		fault{"statements of nodes are cancelled", on(`SELECT pg_cancel_backend(pid) FROM pg_stat_activity
			WHERE application_name = '` + nodeName + `' AND datname = current_database()`)},
		fault{"the server is killed", func() {
			server.Kill(t)
			a.pause(100)
			server.Restart(t)
		}},
		fault{"the tables are locked", func() {
			tx, err := a.plain.BeginTx(t.Context(), nil)
			if err != nil {
				return
			}
			defer func() { _ = tx.Rollback() }()
			if _, err := tx.ExecContext(t.Context(), `SET LOCAL lock_timeout = 500; LOCK things, parts`); err == nil {
				a.pause(300)
			}
		}},
		a.faultOf(a.outage("the network is cut", refuse), 300),
		a.faultOf(a.outage("the network is slow", slow), 300),
		a.faultOf(a.outage("the network swallows everything", swallow), 300),
		a.faultOf(a.outage("the network loses answers", mute), 300),
		a.faultOf(a.outage("the network holds writes back", hold), 300),
	)
	// Who writes gives up before these end: what was committed is not known.
	a.last = append(a.last, a.outage("the network loses answers", mute), a.outage("the network holds writes back", hold))
	return a
}

// outage returns an outage of the network.
func (a *postgresArena) outage(name string, m proxyMode) outage {
	return outage{
		name: name,
		begin: func() {
			a.proxy.set(m)
			if m == refuse {
				a.proxy.cut(true)
			}
		},
		end: func() {
			a.proxy.set(through)
			a.proxy.delivered()
			// Otherwise who waits for an answer waits on. In the end nobody does.
			if a.ending || a.rnd.IntN(2) == 0 {
				a.proxy.cut(false)
			}
		},
	}
}

func hooksAndXMin(db *bun.DB) []driver.Source {
	return append(hooksAlone(db), pollsource.New(often, pollsource.XMin(db, 0), pollsource.Config{
		Timeout: writeTimeout,
		// A row that others insert and delete between two polls, while the node
		// reads what its hooks have reported.
		FullPass: 25 * often,
	}))
}

func TestConvergencePostgres(t *testing.T) {
	t.Parallel() // mostly it waits
	server := pgtest.Start(t)
	t.Run("hooks", func(t *testing.T) {
		a := newPostgresArena(t, server)
		n := a.addNode(a.openNode(a.network), hooksAlone)
		a.writeInProcess(n)
		a.writeInProcess(n) // more that is under way when the network fails
		a.run()
	})
	t.Run("hooks and poll, others write", func(t *testing.T) {
		a := newPostgresArena(t, server)
		a.shorten()
		a.writeInProcess(a.addNode(a.openNode(a.network), hooksAndXMin))
		a.writeOutside()
		a.run()
	})
	t.Run("two nodes, hooks and poll, poll alone", func(t *testing.T) {
		a := newPostgresArena(t, server)
		a.shorten()
		a.writeInProcess(a.addNode(a.openNode(a.network), hooksAndXMin))
		a.writeInProcess(a.addNode(a.openNode(a.network), func(*bun.DB) []driver.Source {
			return []driver.Source{pollsource.Every(often)}
		}))
		a.writeOutside()
		a.run()
	})
}
