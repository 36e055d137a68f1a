package pollsource

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/uptrace/bun"
)

// tablePlaceholder stands for the table in a query, as it does in Bun's.
const tablePlaceholder = "?TableName"

// Query returns a check that runs a query for one row, and takes it that
// tables have changed, somewhere, when the row differs from the one before.
// What it sees depends on the query: max(updated_at) misses deletes, and rows
// whose transaction began before and ended after that of another row; count(*)
// misses updates. What it misses waits for the full pass, see Config.FullPass.
//
// A query that contains ?TableName is asked for each table, with the table's
// quoted name in its place:
//
//	pollsource.Query(db, "SELECT count(*), max(updated_at) FROM ?TableName")
//
// Any other is asked once for all tables that the source covers, and all of
// them are read when the answer differs. There are no other placeholders. A
// query that returns more than one row fails.
func Query(db *bun.DB, query string) Check { return &queryCheck{db, query} }

type queryCheck struct {
	db    *bun.DB
	query string
}

func (c *queryCheck) validate() error {
	if strings.TrimSpace(c.query) == "" {
		return errors.Join(checkDB("Query", c.db), errors.New("Query: the query is empty"))
	}
	return checkDB("Query", c.db)
}

func (c *queryCheck) perTable() bool { return strings.Contains(c.query, tablePlaceholder) }

func (c *queryCheck) group(t driver.Schema) string {
	if c.perTable() {
		return tableGroup(t)
	}
	return ""
}

func (*queryCheck) fullPass() time.Duration { return defaultFullPass }

func (c *queryCheck) watch(t driver.Schema) watcher {
	query := strings.ReplaceAll(c.query, tablePlaceholder, quoteTable(c.db, t.Table))
	return &comparing{ask: func(ctx context.Context) (string, error) { return printOf(ctx, c.db.DB, query) }}
}

// Probe returns a check that calls the function for each table, and takes it
// that the table has changed, somewhere, when it returns another text than
// before. The function is called from one goroutine at a time for each source
// that has the check; it minds its context, which ends with the source or
// after Config.Timeout. Its error means that changes may go unnoticed until it
// returns none. What the text does not show waits for the full pass, see
// Config.FullPass.
func Probe(ask func(ctx context.Context, table driver.Schema) (string, error)) Check {
	return &probeCheck{ask}
}

type probeCheck struct {
	ask func(ctx context.Context, table driver.Schema) (string, error)
}

func (c *probeCheck) validate() error {
	if c.ask == nil {
		return errors.New("Probe: the function is nil")
	}
	return nil
}

// group tells schemas apart by all that the function may look at.
func (*probeCheck) group(t driver.Schema) string { return keyGroup(t) + fmt.Sprintf(" %+v", t.Columns) }

func (*probeCheck) fullPass() time.Duration { return defaultFullPass }

func (c *probeCheck) watch(t driver.Schema) watcher {
	return &comparing{ask: func(ctx context.Context) (string, error) { return c.ask(ctx, t) }}
}

// comparing is a watcher that compares one answer with the one before.
type comparing struct {
	ask  func(context.Context) (string, error)
	last string
}

func (w *comparing) look(ctx context.Context) (finding, error) {
	answer, err := w.ask(ctx)
	if err != nil {
		return finding{}, err
	}
	changed := answer != w.last
	w.last = answer
	return finding{whole: changed, changed: changed}, nil
}

func (*comparing) close() error { return nil }
