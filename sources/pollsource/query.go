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

// Query returns a check that runs a query for one row. When the row differs from the
// one before, any row of the table may have changed. The query decides what the check
// misses: max(updated_at) misses deletes, and rows whose transaction began before and
// ended after another row's; count(*) misses updates. The full pass finds these, see
// Config.FullPass.
//
// A query that contains ?TableName is asked for each table, with the table's
// quoted name in its place:
//
//	pollsource.Query(db, "SELECT count(*), max(updated_at) FROM ?TableName")
//
// Any other query runs once for all tables of the source, and all of them are compared
// when the row differs. There are no other placeholders. A query that returns more than
// one row fails.
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

// Probe returns a check that calls the function for each table. When the returned text
// differs from the one before, any row of the table may have changed. Each source with
// the check calls the function from one goroutine at a time. The function must obey its
// context, which ends with the source or after Config.Timeout. While it returns an
// error, the source is lost. The full pass finds changes that the text does not show,
// see Config.FullPass.
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

// group distinguishes schemas by everything that the function may use.
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
