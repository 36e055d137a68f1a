package pollsource

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
)

// DefaultMaxRows is what a MaxRows of 0 means.
const DefaultMaxRows = 100_000

// XMin returns a check for Postgres (11 and later) that reads the key of every
// row together with its xmin, the transaction that wrote the row as it is, and
// compares them with those of the poll before. Rows that are new, changed or
// gone since then are found exactly, whoever wrote them and however long their
// transaction took, and only they are read. xmin is compared for equality
// alone, so neither freezing nor the wraparound of transaction ids matters.
//
// A row that others insert and delete between two polls is seen by neither. A
// binding may hold it all the same, because its key or the whole table was read
// meanwhile. So the keys that changed bindings hold are compared with those
// that the poll has found, and what is held and was not found is read again.
//
// It scans the whole table at every poll, without sorting or sending more than
// the keys, and remembers them: about 100 bytes a row. Of a table with more
// rows than maxRows (0 means [DefaultMaxRows]), or with keys that the key
// columns' kinds cannot express, only a count and a sum of hashes is read and
// remembered, and the whole table is reported when they differ, or when they are
// the same although a binding has changed.
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
	// A table that bindings only depend on has no key to tell rows by.
	keyless := len(t.Key) == 0
	return &xminWatcher{
		keyless: keyless, hopeless: keyless,
		db:      c.db,
		schema:  t,
		maxRows: maxRows,
		keys:    "SELECT " + quoteColumns(c.db, t.Key...) + ", t.xmin::text::bigint" + from + " LIMIT " + strconv.Itoa(maxRows+1),
		// A row version is a place and a writer; its table tells partitions apart.
		print: "SELECT count(*), coalesce(sum(hashtextextended(concat_ws(' ', t.tableoid, t.ctid, t.xmin), 0)::numeric), 0)::text" + from,
		count: "SELECT count(*)" + from,
	}
}

type xminWatcher struct {
	db                 *bun.DB
	schema             driver.Schema
	maxRows            int
	keys, print, count string

	seen  map[driver.Key]version
	round bool // of the scan under way

	// keyless: seen is not kept, but last instead. hopeless: and never will.
	keyless, hopeless bool
	last              string

	held func(visit func(driver.Key)) (changed bool) // nil: nobody can tell
}

// compareWith implements heldWatcher.
func (w *xminWatcher) compareWith(held func(visit func(driver.Key)) (changed bool)) { w.held = held }

// version is a row as it was last seen.
type version struct {
	xmin  uint32
	round bool // of the last scan that saw it
}

func (w *xminWatcher) look(ctx context.Context) (finding, error) {
	if w.keyless {
		return w.lookWhole(ctx)
	}
	keys, ok, err := w.scan(ctx)
	if err != nil || ok {
		changed := len(keys) > 0
		return finding{keys: w.addVanished(keys), changed: changed}, err
	}
	w.keyless = true
	if w.last, err = printOf(ctx, w.db.DB, w.print); err != nil {
		return finding{}, err
	}
	return finding{whole: true, changed: true}, nil
}

// addVanished adds the keys of rows that bindings hold and the scan has not
// found. They are asked for after the scan: what was read into a binding later is
// read once more for nothing.
func (w *xminWatcher) addVanished(keys []driver.Key) []driver.Key {
	if w.held == nil || w.seen == nil {
		return keys
	}
	listed := make(map[driver.Key]struct{}, len(keys))
	for _, k := range keys {
		listed[k] = struct{}{}
	}
	w.held(func(k driver.Key) {
		if _, found := w.seen[k]; found {
			return
		}
		if _, twice := listed[k]; !twice {
			listed[k] = struct{}{}
			keys = append(keys, k)
		}
	})
	return keys
}

// lookWhole looks at a table whose keys are not kept.
func (w *xminWatcher) lookWhole(ctx context.Context) (finding, error) {
	print, err := printOf(ctx, w.db.DB, w.print)
	if err != nil {
		return finding{}, err
	}
	came := w.held != nil && w.held(func(driver.Key) {})
	if print == w.last {
		// What a binding has read since may have come and gone.
		return finding{whole: came}, nil
	}
	w.last = print
	found := finding{whole: true, changed: true}
	if w.hopeless {
		return found, nil
	}
	var rows int
	if err := w.db.DB.QueryRowContext(ctx, w.count).Scan(&rows); err != nil {
		return finding{}, err
	}
	// Half, so that a table at the bound does not go back and forth. What
	// changes after the scan is found by the next one; if the scan fails to
	// keep the keys, by the next print.
	if rows <= w.maxRows/2 {
		_, ok, err := w.scan(ctx)
		if err != nil {
			return finding{}, err
		}
		w.keyless = !ok
	}
	return found, nil
}

// scan reads all keys and returns those of rows that differ from what was
// seen. ok is false where there are too many rows, or such without a proper
// key: nothing is remembered then.
func (w *xminWatcher) scan(ctx context.Context) (differ []driver.Key, ok bool, err error) {
	if w.seen == nil {
		w.seen = make(map[driver.Key]version)
	}
	w.round = !w.round
	rows, current := 0, 0
	err = readKeys(ctx, w.db.DB, &w.schema, w.keys, nil, 1, func(key driver.Key, known bool, others []any) {
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
