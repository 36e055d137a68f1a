package pollsource

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
)

// DefaultMaxRows is what a MaxRows of 0 means.
const DefaultMaxRows = 100_000

// XMin returns a check for Postgres (11 and later) that uses xmin, the transaction
// that wrote a row's current version. It finds rows that are new, changed or gone since
// the poll before, by any writer and after any length of transaction, and only they are
// read. It compares xmin for equality and by age, so neither freezing nor the
// wraparound of transaction ids matters.
//
// A poll first asks for the server's snapshot: if it is unchanged, nothing was
// committed, and the poll ends. Otherwise the server counts the table's rows, adds up
// hashes of their keys, and sends the keys of rows that were written since. If count
// and sum show that rows have gone, the check reads all keys and compares them with
// those remembered, about 100 bytes a row. It remembers none for a table with more rows
// than maxRows (0 means [DefaultMaxRows]): there the whole table is compared when rows
// have gone, when more than 10,000 rows were written, or when so many new and old rows
// were written that the sum cannot tell them apart. Tables with keys that the key
// columns' kinds cannot express are compared when anything was written.
//
// The server scans the table for a poll, without sorting. The wait after a poll is at
// least three times as long as it took, so that polls take a quarter of the time at
// most.
//
// Two polls miss a row that others insert and delete between them. A binding may hold
// it all the same, if its key or the whole table was read meanwhile. So the check
// compares the keys of rows that are new in bindings with those that the poll has
// found, and has the missing ones read again. The full pass, see Config.FullPass, covers
// related rows and, if keys are not remembered, bindings that load. There is none while
// nothing is committed.
//
// It works on tables, partitioned ones too. Views and foreign tables have no
// xmin to go by.
func XMin(db *bun.DB, maxRows int) Check {
	return &xminCheck{db, maxRows}
}

type xminCheck struct {
	db      *bun.DB
	maxRows int
}

func (c *xminCheck) validate() error {
	if c.maxRows < 0 {
		return fmt.Errorf("XMin: maxRows %d is negative", c.maxRows)
	}
	return checkDB("XMin", c.db, dialect.PG)
}

func (*xminCheck) group(t driver.Schema) string { return keyGroup(t) }

func (*xminCheck) fullPass() time.Duration { return time.Minute }

func (c *xminCheck) watch(t driver.Schema) watcher {
	maxRows := c.maxRows
	if maxRows == 0 {
		maxRows = DefaultMaxRows
	}
	from := " FROM " + quoteTable(c.db, t.Table) + " AS t"
	w := &xminWatcher{db: c.db.DB, schema: t, maxRows: maxRows}
	// A row version is a place and a writer; its table tells partitions apart.
	w.form = formOf(c.db, t.Table)
	w.print = "SELECT count(*), coalesce(sum(hashtextextended(concat_ws(' ', t.tableoid, t.ctid, t.xmin), 0)), 0)::text" + from
	if len(t.Key) == 0 { // bindings only depend on it: there is no key to tell rows by
		w.hopeless = true
		return w
	}
	columns := quoteColumns(c.db, t.Key...)
	hash := "hashtextextended(concat_ws(' ', " + columns + "), 0)"
	w.sums = "SELECT count(*), coalesce(sum(" + hash + "), 0)::text" + from
	w.keys = "SELECT " + columns + ", t.xmin::text::bigint" + from + " LIMIT " + strconv.Itoa(maxRows+1)
	w.recent = "SELECT " + columns + ", t.xmin::text::bigint, " + hash + from +
		" WHERE age(t.xmin) <= age($1::text::xid) LIMIT " + strconv.Itoa(maxRecent+1)
	return w
}

// maxRecent bounds the rows that one poll finds by their keys.
const maxRecent = 10_000

type xminWatcher struct {
	db                        *sql.DB
	schema                    driver.Schema
	maxRows                   int
	print, sums, keys, recent string
	form                      string // the statement that asks how the table is defined
	formed                    string // the answer to form, "" at first

	snapshot string // at the look before, "" at first
	rows     int64
	sum      *big.Int // of the hashes of the keys

	seen   map[driver.Key]version // nil: there are too many rows
	round  bool                   // of the scan under way
	repeat map[driver.Key]uint32  // without seen: the rows found last, and their xmin

	// hopeless says that the table's keys can never be compared. Then the whole
	// table is: last is its fingerprint.
	hopeless bool
	last     string

	held func(visit func(driver.Key)) (changed bool) // nil: nobody can tell
}

// compareWith implements heldWatcher.
func (w *xminWatcher) compareWith(held func(visit func(driver.Key)) (changed bool)) { w.held = held }

// version is a row as it was last seen.
type version struct {
	xmin  uint32
	round bool // of the last scan that saw it
}

// changed is a row that was written since the look before.
type changed struct {
	key  driver.Key
	xmin uint32
	hash int64
}

func (w *xminWatcher) look(ctx context.Context) (found finding, err error) {
	snapshot, err := snapshotOf(ctx, w.db)
	if err != nil {
		return finding{}, err
	}
	if snapshot == w.snapshot { // it shows the same transactions
		found = w.addVanished(finding{})
		found.still = !found.whole && len(found.keys) == 0
		return found, nil
	}
	// Several statements, of one state.
	tx, err := w.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return finding{}, err
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	if snapshot, err = snapshotOf(ctx, tx); err != nil {
		return finding{}, err
	}
	if !w.hopeless {
		if found, err = w.compare(ctx, tx); err != nil {
			return finding{}, err
		}
	}
	if w.hopeless { // it may have just been set
		print, err := printOf(ctx, tx, w.print)
		if err != nil {
			return finding{}, err
		}
		found = finding{whole: print != w.last, changed: print != w.last}
		w.last = print
	}
	form, err := textOf(ctx, tx, w.form)
	if err != nil {
		return finding{}, err
	}
	if w.formed != "" && form != w.formed { // an ALTER changes rows without writing them
		found.whole, found.changed = true, true
	}
	w.formed = form
	first := w.snapshot == ""
	if w.snapshot = snapshot; first {
		return found, nil // everything is read after it
	}
	return w.addVanished(found), nil
}

// addVanished adds the keys of rows that are new in bindings but not among those
// found. It runs after the look; rows read into a binding since then are needlessly
// read once more.
func (w *xminWatcher) addVanished(found finding) finding {
	if w.held == nil {
		return found
	}
	listed := make(map[driver.Key]struct{}, len(found.keys))
	for _, k := range found.keys {
		listed[k] = struct{}{}
	}
	written := len(found.keys)
	came := w.held(func(k driver.Key) {
		if _, there := w.seen[k]; there {
			return
		}
		if _, there := w.repeat[k]; there {
			return
		}
		if _, twice := listed[k]; !twice && len(found.keys) <= maxRecent {
			listed[k] = struct{}{}
			found.keys = append(found.keys, k)
		}
	})
	switch {
	case came && w.hopeless:
		found.whole = true
	case len(found.keys) <= maxRecent:
	case w.seen == nil: // a binding has loaded: it is left to the full pass
		found.keys = found.keys[:written]
	default:
		found.whole = true
	}
	return found
}

// formOf returns the statement that asks for the table's definition: its oid, columns
// and types.
func formOf(db *bun.DB, t driver.Table) string {
	return db.QueryGen().FormatQuery(`SELECT coalesce(md5(string_agg(concat_ws(' ', c.oid, c.relrowsecurity,
		a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attcollation, (
			SELECT string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e WHERE e.enumtypid = a.atttypid)), ';' ORDER BY a.attnum)), '-')
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
		WHERE c.oid = to_regclass(?)`, quoteTable(db, t))
}

// snapshotOf returns which transactions a new statement sees.
func snapshotOf(ctx context.Context, q queryer) (snapshot string, err error) {
	return textOf(ctx, q, "SELECT txid_current_snapshot()::text")
}

// textOf runs a statement that returns one text.
func textOf(ctx context.Context, q queryer, statement string) (text string, err error) {
	rows, err := q.QueryContext(ctx, statement)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := rows.Scan(&text); err != nil {
			return "", err
		}
	}
	return text, rows.Err()
}

// scan reads all keys and returns those of rows that differ from the remembered ones.
// ok is false if there are too many rows, or some without a proper key: then nothing is
// remembered.
func (w *xminWatcher) scan(ctx context.Context, q queryer) (differ []driver.Key, ok bool, err error) {
	if w.seen == nil {
		w.seen = make(map[driver.Key]version)
	}
	w.round = !w.round
	rows, current := 0, 0
	err = readKeys(ctx, q, &w.schema, w.keys, nil, 1, func(key driver.Key, known bool, others []any) {
		rows++
		xmin, isInt := others[0].(int64)
		if !known || !isInt {
			w.hopeless = true
			return
		}
		v := version{uint32(xmin), w.round}
		was, seen := w.seen[key]
		if !seen || was.xmin != v.xmin {
			differ = append(differ, key)
		}
		if !seen || was.round != v.round {
			current++ // keys, which need not be as many as rows
		}
		w.seen[key] = v
	})
	if err != nil {
		return nil, false, err
	}
	if rows > w.maxRows || w.hopeless {
		w.seen = nil
		return nil, false, nil
	}
	if len(w.seen) > current {
		for key, v := range w.seen {
			if v.round != w.round {
				differ = append(differ, key)
				delete(w.seen, key)
			}
		}
	}
	return slices.Clip(differ), true, nil
}

func (*xminWatcher) close() error { return nil }
