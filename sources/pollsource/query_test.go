package pollsource

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/uptrace/bun"
)

func TestQueryOfEachTable(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		exec(t, db, `CREATE TABLE "Some items" (id int PRIMARY KEY, name text)`, `CREATE TABLE others (id int PRIMARY KEY, name text)`)
		check := Query(db, "SELECT count(*), max(name) FROM ?TableName")
		if check.group(items("Some items")) == check.group(items("others")) {
			t.Error("tables are not told apart")
		}
		l := watch(t, check, items("Some items"))
		l.next()
		l.wantsQuiet()
		exec(t, db, `INSERT INTO others VALUES (1, 'x')`)
		l.wantsQuiet()
		exec(t, db, `INSERT INTO "Some items" VALUES (1, NULL)`)
		l.wants("*")
		exec(t, db, `UPDATE "Some items" SET name = ''`)
		l.wants("*") // NULL and '' differ
		exec(t, db, `UPDATE "Some items" SET name = '`+strings.Repeat("long ", 100)+`'`)
		l.wants("*")
		l.wantsQuiet()
		exec(t, db, `UPDATE "Some items" SET name = '`+strings.Repeat("long ", 100)+`!'`)
		l.wants("*")
	})
}

func TestQueryOfAllTables(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		exec(t, db, `CREATE TABLE revision (n int)`)
		check := Query(db, "SELECT n FROM revision WHERE '?' = '?'")
		if check.group(items("a")) != check.group(items("b")) {
			t.Error("the query is asked more than once")
		}
		l := watch(t, check, items("a"))
		l.next() // no row
		l.wantsQuiet()
		exec(t, db, `INSERT INTO revision VALUES (NULL)`)
		l.wants("*")
		exec(t, db, `UPDATE revision SET n = 1`)
		l.wants("*")
		l.wantsQuiet()
		exec(t, db, `INSERT INTO revision VALUES (2)`)
		_, err := l.look(t.Context())
		wantErr(t, err, "more than one row")
	})
}

func TestQueryErrors(t *testing.T) {
	db := openSQLite(t, sqliteFile(t))
	l := watch(t, Query(db, "SELECT count(*) FROM ?TableName"), items("missing"))
	_, err := l.look(t.Context())
	wantErr(t, err, "missing")
	wantErr(t, Query(nil, " ").validate(), "nil", "empty")
	wantErr(t, Query(db, "").validate(), "empty")
	wantErr(t, Probe(nil).validate(), "nil")
}

func TestProbe(t *testing.T) {
	answer, failure := "1", error(nil)
	l := watch(t, Probe(func(_ context.Context, table driver.Schema) (string, error) {
		return table.Table.Name + answer, failure
	}), items("a"))
	l.next()
	l.wantsQuiet()
	answer = "2"
	l.wants("*")
	failure = errors.New("no answer")
	if _, err := l.look(t.Context()); !errors.Is(err, failure) {
		t.Errorf("got %v, want the probe's error", err)
	}
}
