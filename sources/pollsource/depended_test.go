package pollsource

import (
	"testing"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/uptrace/bun"
)

// depended is what the engine shows of a table that bindings only depend on: no
// columns and no key.
func depended(name string) driver.Schema { return driver.Schema{Table: driver.Table{Name: name}} }

func TestWatermarkOfATableWithoutAKey(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		c := newClock()
		exec(t, db, numbered)
		l := watch(t, watermark(db, &WatermarkConfig{Overlap: time.Minute}, c), depended("items"))
		l.next()
		c.advance(time.Second)
		write(t, db, 1, c.now())
		write(t, db, 2, c.now())
		l.wants("*")
		c.advance(3 * time.Second)
		l.wants("*")
		l.wantsQuiet()
		write(t, db, 1, c.now()) // which in Postgres moves the row
		l.wants("*")
		c.advance(3 * time.Second)
		l.wants("*")
		l.wantsQuiet()
		exec(t, db, `DELETE FROM items WHERE id = 1`)
		l.wants("*")
		l.wantsQuiet()
	})
}

func TestXMinOfATableWithoutAKey(t *testing.T) {
	db := openPostgres(t)
	exec(t, db, `CREATE TABLE items (id int, name text) PARTITION BY RANGE (id)`,
		`CREATE TABLE low PARTITION OF items FOR VALUES FROM (0) TO (5)`, `CREATE TABLE high PARTITION OF items FOR VALUES FROM (5) TO (10)`)
	l := watch(t, XMin(db, 0), depended("items"))
	l.next()
	l.wantsQuiet()
	for _, statement := range []string{
		`INSERT INTO items SELECT n, 'x' FROM generate_series(1, 8) AS n`,
		`UPDATE items SET name = 'y' WHERE id = 7`,
		`DELETE FROM items WHERE id = 1`,
		`TRUNCATE low`,
	} {
		exec(t, db, statement)
		l.wants("*")
		l.wantsQuiet()
	}
}
