package pgsource

import (
	"context"
	"slices"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// audit checks the tables when further ones are bound, when the log names unknown
// ones, and at an interval: the log does not say that a table was recreated or
// removed from the publication.
func (se *session) audit(ctx context.Context) error {
	ticker := time.NewTicker(se.src.cfg.AuditInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-se.changed:
		case <-se.stream.asks:
		case <-ticker.C:
		}
		if err := se.lookAfterTables(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

func (se *session) lookAfterTables(ctx context.Context) error {
	var schemas []driver.Schema
	schemas, se.changed = se.sink.Tables()
	questions := se.stream.questions.Load()
	starting, cancel := context.WithTimeout(ctx, se.src.cfg.StartTimeout)
	defer cancel()
	// Its own connection: a change of the publication may wait for locks, and must
	// not delay reports.
	conn, err := connect(starting, se.src.dsn, false)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	tables, err := lookTwice(starting, func() ([]*bound, error) { return se.src.prepare(starting, conn, schemas, se.known) })
	if err != nil {
		return err
	}
	var fresh []*bound
	for _, b := range tables {
		at := slices.IndexFunc(se.tables, func(o *bound) bool { return o.table == b.table })
		if at < 0 || b.added || !b.same(se.tables[at]) {
			fresh = append(fresh, b)
		}
	}
	se.tables = tables
	se.known.add(tablesOf(tables)...)
	se.stream.routes.Store(newRoutes(tables, questions))
	if len(fresh) == 0 {
		return nil
	}
	// What was committed before the routes were changed is visible to the read
	// that follows, or its transaction had not ended in the snapshot.
	s, err := queryRunning(starting, conn)
	if err != nil {
		return err
	}
	list := make([]driver.Change, len(fresh))
	for i, b := range fresh {
		list[i] = driver.Change{Table: b.table}
	}
	se.stream.settle(&s, tablesOf(fresh), false)
	se.sink.Report(list...)
	return nil
}

// tableSet is a set of tables.
type tableSet map[driver.Table]bool

func (s *tableSet) add(tables ...driver.Table) {
	if *s == nil {
		*s = make(tableSet)
	}
	for _, t := range tables {
		(*s)[t] = true
	}
}

// lookTwice looks again after an error: a table may have been recreated during the
// first look.
func lookTwice[T any](ctx context.Context, look func() (T, error)) (T, error) {
	found, err := look()
	if err == nil || ctx.Err() != nil {
		return found, err
	}
	return look()
}

func tablesOf(all []*bound) []driver.Table {
	tables := make([]driver.Table, len(all))
	for i, b := range all {
		tables[i] = b.table
	}
	return tables
}
