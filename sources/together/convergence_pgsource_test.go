package together_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/pgsource"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

// newLogArena is a Postgres arena whose nodes follow the server's log, in
// which the process at the server's end of it is ended as well.
func newLogArena(t *testing.T, server *pgtest.Server) *postgresArena {
	t.Helper()
	a := newPostgresArena(t, server)
	a.faults = append(a.faults, fault{"the log's sender is ended by the server", func() {
		_, _ = a.plain.DB.ExecContext(t.Context(), `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots
			WHERE database = current_database()`) // the server may be away
	}})
	// Nothing may be left behind, however often a node has lost its connection.
	t.Cleanup(func() {
		eventually(t, "the slots are gone", func() error {
			return noRows(a.plain, `SELECT slot_name FROM pg_replication_slots WHERE database = current_database()`)
		})
	})
	return a
}

// follow makes the source of a node, which has the same network as everything
// else of it.
func (a *postgresArena) follow(*bun.DB) []driver.Source {
	return []driver.Source{pgsource.New(a.network, pgsource.Config{ReceiveTimeout: 2 * time.Second, StartTimeout: 5 * time.Second})}
}

func TestConvergencePGSource(t *testing.T) {
	t.Parallel() // mostly it waits
	server := pgtest.Start(t)
	t.Run("alone, others write", func(t *testing.T) {
		a := newLogArena(t, server)
		a.writeInProcess(a.addNode(a.openNode(a.network), a.follow))
		a.writeOutside()
		a.run()
	})
	t.Run("triggers, others write", func(t *testing.T) {
		a := newPostgresArena(t, server)
		a.shorten()
		must(t, pgsource.Outbox{}.Install(t.Context(), a.dsn, driver.Table{Name: "things"}, driver.Table{Name: "parts"}))
		a.writeInProcess(a.addNode(a.openNode(a.network), func(*bun.DB) []driver.Source {
			return []driver.Source{pgsource.NewTriggers(a.network, pgsource.TriggerConfig{AnswerTimeout: 2 * time.Second})}
		}))
		a.writeOutside()
		a.run()
	})
	t.Run("two nodes, hooks and log, others write", func(t *testing.T) {
		a := newLogArena(t, server)
		a.shorten()
		for range 2 {
			a.writeInProcess(a.addNode(a.openNode(a.network), func(db *bun.DB) []driver.Source {
				return append(hooksAlone(db), a.follow(db)...)
			}))
		}
		a.writeOutside()
		a.run()
	})
}

// noRows returns an error that shows what the query finds.
func noRows(db *bun.DB, query string) error {
	var found []string
	if err := db.NewRaw(query).Scan(context.Background(), &found); err != nil {
		return err
	}
	if len(found) > 0 {
		return fmt.Errorf("found %q", found)
	}
	return nil
}
