package bunsource_test

import (
	"net/url"
	"testing"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
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
	a := &postgresArena{arena: newArena(t, "pgx", server.CreateDatabase(t)), proxy: newProxy(t, server.Addr())}
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
		fault{"the network is cut", a.outage(refuse)},
		fault{"the network is slow", a.outage(slow)},
		fault{"the network swallows everything", a.outage(swallow)},
	)
	return a
}

// outage returns a fault of the network.
func (a *postgresArena) outage(m proxyMode) func() {
	return func() {
		a.proxy.set(m)
		if m == refuse {
			a.proxy.cut(true)
		}
		a.pause(300)
		a.proxy.set(through)
		if a.rnd.IntN(2) == 0 {
			a.proxy.cut(false) // otherwise who waits for an answer waits on
		}
	}
}

func hooksAndXMin(db *bun.DB) []core.Source {
	return append(hooksAlone(db), pollsource.New(often, pollsource.XMin(db, 0), &pollsource.Config{
		Timeout: writeTimeout,
		// A row that others insert and delete between two polls, while the node
		// reads what its hooks have reported.
		FullPass: 25 * often,
	}))
}

func TestConvergencePostgres(t *testing.T) {
	server := pgtest.Start(t)
	t.Run("hooks", func(t *testing.T) {
		a := newPostgresArena(t, server)
		a.writeInProcess(a.addNode(a.openNode(a.network), hooksAlone))
		a.run()
	})
	t.Run("hooks and poll, others write", func(t *testing.T) {
		a := newPostgresArena(t, server)
		a.writeInProcess(a.addNode(a.openNode(a.network), hooksAndXMin))
		a.writeOutside()
		a.run()
	})
	t.Run("two nodes, hooks and poll, poll alone", func(t *testing.T) {
		a := newPostgresArena(t, server)
		a.writeInProcess(a.addNode(a.openNode(a.network), hooksAndXMin))
		a.writeInProcess(a.addNode(a.openNode(a.network), func(*bun.DB) []core.Source {
			return []core.Source{pollsource.Every(often)}
		}))
		a.writeOutside()
		a.run()
	})
}
