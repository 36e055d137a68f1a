package pollsource

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
)

// WatermarkConfig tunes [Watermark]. The zero value of each field means its
// default.
type WatermarkConfig struct {
	// Overlap is how much older than its commit a row's watermark may be. It
	// covers the length of transactions, and differences between the clocks that
	// set watermarks. On Postgres it need only cover the time from the
	// begin of a transaction to its first write, because the check waits for
	// writing transactions. The default is one minute.
	Overlap time.Duration

	// MaxRows bounds the rows within the overlap that the check remembers, at
	// about 200 bytes each. While there are more, every poll reports the whole
	// table. The default is [DefaultMaxRows].
	MaxRows int
}

const defaultOverlap = time.Minute

// WithDefaults returns a copy in which every zero field has its default.
func (c WatermarkConfig) WithDefaults() WatermarkConfig {
	if c.Overlap == 0 {
		c.Overlap = defaultOverlap
	}
	if c.MaxRows == 0 {
		c.MaxRows = DefaultMaxRows
	}
	return c
}

// Validate returns all mistakes in the configuration.
func (c WatermarkConfig) Validate() error {
	var errs []error
	if c.Overlap < 0 {
		errs = append(errs, fmt.Errorf("config: Overlap %v is negative", c.Overlap))
	}
	if c.MaxRows < 0 {
		errs = append(errs, fmt.Errorf("config: MaxRows %d is negative", c.MaxRows))
	}
	return errors.Join(errs...)
}

// Watermark returns a check for Postgres and SQLite that reads the keys of the
// rows with the highest values of a column, which every write must raise: a
// time of change, or a number from a sequence. Only rows that changed are
// read, and with an index on the column little else is. Watermark takes at most one
// config; without one everything has its default.
//
// A row that is committed late, when rows with higher watermarks have been
// seen already, is found if WatermarkConfig.Overlap covers the delay. If its
// transaction was running when the source began to watch, it is found only when the
// overlap has passed, by reading the whole table. Only the full pass finds later rows,
// deleted rows and rows whose watermark is NULL, see Config.FullPass.
//
// Writes that are a second or more apart must have different watermarks. Rows that
// share a watermark are read again a little later, and once more at the end of the
// overlap. A watermark far in the future hides every write below it from all but
// the full pass, as long as its row exists.
//
// A table that bindings only depend on ([core.DependsOn]) is reported as a whole
// when the check finds a row; in SQLite it must not be WITHOUT ROWID.
func Watermark(db *bun.DB, column string, cfg ...WatermarkConfig) Check {
	c := &watermarkCheck{db: db, column: column, now: time.Now}
	c.extra = len(cfg) > 1
	if len(cfg) > 0 {
		c.cfg = cfg[0]
	}
	c.cfg = c.cfg.WithDefaults()
	return c
}

type watermarkCheck struct {
	db     *bun.DB
	column string
	cfg    WatermarkConfig
	extra  bool // more than one configuration is given
	now    func() time.Time
}

func (c *watermarkCheck) validate() error {
	var errs []error
	if c.extra {
		errs = append(errs, errors.New("Watermark: more than one configuration is given"))
	}
	if c.column == "" {
		errs = append(errs, errors.New("Watermark: the column has no name"))
	}
	if err := c.cfg.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("Watermark: %w", err))
	}
	return errors.Join(append(errs, checkDB("Watermark", c.db, dialect.PG, dialect.SQLite))...)
}

func (*watermarkCheck) group(t driver.Schema) string { return keyGroup(t) }

func (*watermarkCheck) fullPass() time.Duration { return defaultFullPass }

func (c *watermarkCheck) watch(t driver.Schema) watcher {
	w := &watermarkWatcher{watermarkCheck: c, schema: t, keyless: len(t.Key) == 0}
	column := quoteColumns(c.db, c.column)
	from := " FROM " + quoteTable(c.db, t.Table) + " AS t"
	keys := "SELECT " + quoteColumns(c.db, t.Key...)
	if w.keyless {
		w.schema = addressed
		keys = "SELECT " + rowAddress(c.db)
	}
	limit := " LIMIT " + strconv.Itoa(c.cfg.MaxRows+1)
	if c.db.Dialect().Name() == dialect.PG {
		// As text, a watermark of any type goes there and back unchanged.
		w.mark = "SELECT (SELECT max(" + column + ")::text" + from + "), oldest, newest FROM (" + runningPostgres + ") AS running"
		w.above = keys + ", " + column + "::text" + from + " WHERE " + column + " >= $1" + limit
		w.all = keys + ", " + column + "::text" + from + " WHERE " + column + " IS NOT NULL" + limit
		return w
	}
	// max() has no declared type, so that the driver passes on what is stored;
	// of a bare column it would make a time. SQLite has one writer at a time,
	// but that one may have taken its watermarks before it came to write.
	w.mark = "SELECT max(" + column + "), 9223372036854775807, 0" + from
	w.above = keys + ", +" + column + from + " WHERE " + column + " >= ?" + limit
	w.all = keys + ", +" + column + from + " WHERE " + column + " IS NOT NULL" + limit
	return w
}

// runningPostgres tells which transactions have ids and run: each holds a lock
// on its own. (A snapshot would not do: it says nothing about those that are
// newer than the last one that ended.) The ids of locks have 32 bits; they are
// extended to 64 by their distance from one that has as many.
const runningPostgres = `SELECT coalesce(min(id), 9223372036854775807) AS oldest, coalesce(max(id), 0) AS newest FROM (
	SELECT base + (transactionid::text::bigint - (base & 4294967295) + 6442450944) % 4294967296 - 2147483648 AS id
	FROM pg_catalog.pg_locks, (SELECT txid_snapshot_xmax(txid_current_snapshot()) AS base) AS snapshot
	WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock' AND granted) AS ids`

type watermarkWatcher struct {
	*watermarkCheck
	schema           driver.Schema
	keyless          bool   // rows are identified by their addresses
	mark, above, all string // statements

	history history
	settled bool // all transactions of the first look are accounted for
	seen    map[driver.Key]sighting
	round   bool // of the scan under way
}

// sighting is a row within the overlap.
type sighting struct {
	watermark string
	first     time.Time // seen with this watermark
	round     bool      // of the last scan that saw it
	calm      bool      // read when its watermark could not be given any more
	aged      bool      // read at the end of the overlap
}

// tick is the time in which clocks may set the same watermark twice: a
// second, and as much again for rounding.
const tick = 2 * time.Second

func (w *watermarkWatcher) look(ctx context.Context) (finding, error) {
	m := mark{start: w.now()}
	if err := w.db.DB.QueryRowContext(ctx, w.mark).Scan(&m.high, &m.oldest, &m.newest); err != nil {
		return finding{}, err
	}
	m.end = w.now()
	if len(w.history.marks) == 0 {
		w.history.add(m)
		return finding{}, nil
	}
	lower, settled := w.history.lower(w.cfg.Overlap)
	found, err := w.scan(ctx, lower)
	if err != nil {
		return finding{}, err
	}
	w.history.add(m)
	if settled && !w.settled {
		w.settled = true
		found.whole = true
	}
	return found, nil
}

// scan reads the keys of the rows from the watermark on, nil being below all,
// and finds those that are not known to be read since.
func (w *watermarkWatcher) scan(ctx context.Context, lower any) (found finding, err error) {
	query, args := w.above, []any{lower}
	if lower == nil {
		query, args = w.all, nil
	}
	if w.seen == nil {
		w.seen = make(map[driver.Key]sighting)
	}
	w.round = !w.round
	now, rows := w.now(), 0
	err = readKeys(ctx, w.db.DB, &w.schema, query, args, 1, func(key driver.Key, known bool, others []any) {
		rows++
		watermark, err := value.Of(others[0])
		if !known || err != nil {
			found.whole, found.changed = true, true
			return
		}
		was := w.seen[key]
		s, report := was.next(string(watermark.AppendOrdered(nil)), now, w.cfg.Overlap)
		if report {
			found.keys = append(found.keys, key)
		}
		found.changed = found.changed || s.watermark != was.watermark
		s.round = w.round
		w.seen[key] = s
	})
	if err != nil {
		return finding{}, err
	}
	if rows > w.cfg.MaxRows {
		w.seen = nil
		return finding{whole: true, changed: true}, nil
	}
	for key, s := range w.seen {
		if s.round == w.round {
			continue
		}
		// Left behind by the overlap, or deleted.
		if !s.aged {
			found.keys = append(found.keys, key)
		}
		delete(w.seen, key)
	}
	if w.keyless && len(found.keys) > 0 {
		found.keys, found.whole = nil, true
	}
	return found, nil
}

// addressed is the schema of a table that bindings only depend on. Its key is not
// known, so its rows are identified by their addresses.
var addressed = driver.Schema{Columns: []driver.Column{{Name: "address", Kind: value.KindText}}, Key: []string{"address"}}

// rowAddress returns SQL for a row's place in the table t. A row that moves looks like
// a deleted row and a new one.
func rowAddress(db *bun.DB) string {
	if db.Dialect().Name() == dialect.PG {
		return "concat_ws(' ', t.tableoid, t.ctid)"
	}
	return "t.rowid"
}

// next returns the sighting of a row that has the watermark now, and whether to
// report the row. The zero value is the sighting of a row not seen before.
func (s sighting) next(watermark string, now time.Time, overlap time.Duration) (_ sighting, report bool) {
	if s.first.IsZero() || s.watermark != watermark {
		return sighting{watermark: watermark, first: now}, true
	}
	// The same watermark may stand for another write, made within the same
	// tick of the clock and committed any time within the overlap.
	age := now.Sub(s.first)
	if !s.calm {
		s.calm = age >= tick
		report = true
	}
	if !s.aged && age > overlap {
		s.aged, report = true, true
	}
	return s, report
}

func (*watermarkWatcher) close() error { return nil }
