package pollsource

import (
	"fmt"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
)

// watermark returns a check whose clock the test sets. Watermarks in these
// tests are numbers, seconds of that clock, unless the test is about others.
func watermark(db *bun.DB, cfg *WatermarkConfig, c *clock) Check {
	check := Watermark(db, "updated_at", orZero(cfg)).(*watermarkCheck)
	check.now = c.now
	return check
}

const numbered = `CREATE TABLE items (id int PRIMARY KEY, name text, updated_at bigint)`

func write(t testing.TB, db execer, id int, at time.Time) {
	t.Helper()
	exec(t, db, fmt.Sprintf(`INSERT INTO items VALUES (%d, 'x', %d) ON CONFLICT (id) DO UPDATE SET updated_at = excluded.updated_at`, id, at.Unix()))
}

func TestWatermarkFindsKeys(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		c := newClock()
		exec(t, db, numbered)
		l := watch(t, watermark(db, &WatermarkConfig{Overlap: time.Minute}, c), items("items"))
		l.next() // of an empty table
		c.advance(time.Second)
		write(t, db, 1, c.now())
		write(t, db, 2, c.now())
		l.wants(1, 2)
		c.advance(3 * time.Second)
		l.wants(1, 2) // within a tick there may have been another write
		l.wantsQuiet()

		c.advance(time.Minute)
		l.wants(1, 2) // as may another transaction, that ended late
		write(t, db, 3, c.now())
		l.wants("*") // whatever was running at the begin has ended before the last look
		c.advance(3 * time.Second)
		l.wants(3)
		c.advance(time.Second)
		l.wantsQuiet()
		c.advance(5 * time.Minute)
		l.wants(3)
		l.wantsQuiet()
		write(t, db, 1, c.now())
		l.wants(1)
		exec(t, db, `DELETE FROM items WHERE id = 1`)
		l.wants(1) // recent rows are missed when they are gone
		l.wantsQuiet()
		exec(t, db, `DELETE FROM items WHERE id = 2`)
		l.wantsQuiet() // others are not: that takes a full pass
	})
}

func TestWatermarkBeyondMaxRows(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		c := newClock()
		exec(t, db, numbered)
		l := watch(t, watermark(db, &WatermarkConfig{Overlap: time.Minute, MaxRows: 2}, c), items("items"))
		l.next()
		for id := range 3 {
			write(t, db, id, c.now())
		}
		l.wants("*")
		l.wants("*")
		c.advance(time.Second)
		l.wants("*")
		exec(t, db, `DELETE FROM items WHERE id = 0`)
		l.wants(1, 2)
	})
}

// TestWatermarkOfALateCommit is the case that the overlap is for: a row that is
// committed when rows with higher watermarks have long been seen.
func TestWatermarkOfALateCommit(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		for _, overlap := range []time.Duration{time.Minute, 20 * time.Second} {
			t.Run(overlap.String(), func(t *testing.T) {
				c := newClock()
				exec(t, db, `DROP TABLE IF EXISTS items`, numbered)
				l := watch(t, watermark(db, &WatermarkConfig{Overlap: overlap}, c), items("items"))
				l.next()
				step := func() {
					c.advance(5 * time.Second)
					write(t, db, 1, c.now())
					l.next()
				}
				for range 20 {
					step()
				}
				write(t, db, 2, c.now())
				c.advance(time.Second)
				// now() of a transaction is its begin; that it writes comes later.
				began := c.now()
				step()
				var late *bun.DB
				end := func() { write(t, late, 2, began); write(t, late, 3, began) }
				if db.Dialect().Name() == dialect.PG {
					tx := begin(t, db)
					write(t, tx, 2, began)
					write(t, tx, 3, began)
					end = func() { commit(t, tx) }
				} else {
					// SQLite has one writer: the watermark was taken before it came to write.
					late = db
				}
				for range 10 {
					step()
				}
				end()
				f := l.next()
				found := map[driver.Key]bool{}
				for _, k := range f.keys {
					found[k] = true
				}
				// Beyond the overlap only Postgres knows what is still running.
				want := overlap == time.Minute || db.Dialect().Name() == dialect.PG
				for _, id := range []int{2, 3} {
					if found[driver.KeyOf(id)] != want {
						t.Errorf("row %d was found: %v, want %v", id, !want, want)
					}
				}
				if f.whole {
					t.Error("the whole table was reported")
				}
			})
		}
	})
}

// TestWatermarkKnowsWhoRan is the case that a snapshot's own numbers get wrong:
// the long transaction is the newest of all, and nobody after it has ended.
func TestWatermarkKnowsWhoRan(t *testing.T) {
	db, c := openPostgres(t), newClock()
	exec(t, db, numbered)
	l := watch(t, watermark(db, &WatermarkConfig{Overlap: time.Second}, c), items("items"))
	l.next()
	for range 5 {
		c.advance(time.Second)
		l.next()
	}
	older := begin(t, db, `INSERT INTO items VALUES (100, 'x', 0)`)
	long := begin(t, db)
	write(t, long, 1, c.now())
	c.advance(10 * time.Second)
	write(t, older, 2, c.now())
	commit(t, older)
	for range 10 {
		l.next()
		c.advance(time.Second)
	}
	commit(t, long)
	if f := l.next(); len(f.keys) == 0 || f.keys[0] != driver.KeyOf(1) {
		t.Errorf("found %+v, want the row of the long transaction", f)
	}
}

// TestWatermarkOfWhatRanAtTheBegin settles by a look at the whole table.
func TestWatermarkOfWhatRanAtTheBegin(t *testing.T) {
	db, c := openPostgres(t), newClock()
	exec(t, db, numbered)
	tx := begin(t, db)
	write(t, tx, 1, c.now())
	c.advance(time.Second)
	write(t, db, 2, c.now())
	l := watch(t, watermark(db, &WatermarkConfig{Overlap: time.Minute}, c), items("items"))
	l.next()
	wholes := 0
	look := func(times int) {
		for range times {
			c.advance(10 * time.Second)
			if l.next().whole {
				wholes++
			}
		}
	}
	look(30)
	if wholes > 0 {
		t.Fatal("the whole table was reported while the transaction was running")
	}
	commit(t, tx)
	look(30)
	if wholes != 1 {
		t.Errorf("the whole table was reported %d times, want once", wholes)
	}
}

// TestWatermarkTypes checks that watermarks of all types go to the database and
// back unchanged: nothing is found that did not change, everything that did.
func TestWatermarkTypes(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		for _, v := range []struct{ typ, low, high, higher string }{
			{"timestamptz", `'2026-01-02 03:04:05.123456+02'`, `'2026-01-02 03:04:05.123457+02'`, `'2026-01-02 03:04:05.2+02'`},
			{"timestamp", `'2026-01-02 03:04:05'`, `'2026-01-02 03:04:05.000001'`, `'2026-01-02 03:04:06'`},
			{"date", `'2026-01-02'`, `'2026-01-03'`, `'2026-02-01'`},
			{"numeric", `0.001`, `9007199254740994.002`, `9007199254740996.003`},
			{"double precision", `0.1`, `0.30000000000000004`, `1e300`},
			{"text", `'it''s'`, `'jé'`, `'k'`},
			{"bigint", `9223372036854775805`, `9223372036854775806`, `9223372036854775807`},
		} {
			t.Run(v.typ, func(t *testing.T) {
				c := newClock()
				// A name for each: drivers remember the types of statements.
				name := "T of " + v.typ
				exec(t, db, `CREATE TABLE "`+name+`" (id int PRIMARY KEY, "Updated At" `+v.typ+`)`,
					`INSERT INTO "`+name+`" VALUES (1, `+v.low+`), (2, `+v.high+`), (3, NULL)`)
				check := Watermark(db, "Updated At").(*watermarkCheck)
				check.now = c.now
				l := watch(t, check, items(name))
				l.next()
				l.wants(2) // the highest, and no other
				c.advance(tick)
				l.wants(2)
				l.wantsQuiet()
				exec(t, db, `UPDATE "`+name+`" SET "Updated At" = `+v.higher+` WHERE id = 1`)
				l.wants(1)
			})
		}
	})
}

func TestWatermarkErrors(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		exec(t, db, `CREATE TABLE plain (id int PRIMARY KEY)`)
		l := watch(t, Watermark(db, "updated_at"), items("plain"))
		_, err := l.look(t.Context())
		wantErr(t, err, "updated_at")
	})
	wantErr(t, Watermark(nil, "", WatermarkConfig{Overlap: -1, MaxRows: -1}).validate(), "no name", "Overlap", "MaxRows", "nil")
}
