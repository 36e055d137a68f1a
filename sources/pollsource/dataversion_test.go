package pollsource

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/binderyhq/bindery/core/driver"
)

func TestDataVersion(t *testing.T) {
	dsn := sqliteFile(t)
	db, elsewhere := openSQLite(t, dsn), openSQLite(t, dsn)
	exec(t, db, `CREATE TABLE items (id int PRIMARY KEY)`)
	l := watch(t, DataVersion(db), items("items"))
	l.next()
	l.wantsQuiet()

	exec(t, elsewhere, `INSERT INTO items VALUES (1)`)
	l.wants("*")
	l.wantsQuiet()

	// Every connection of the same pool counts, too: the check's is its own.
	for i := range 5 {
		exec(t, db, `UPDATE items SET id = id`)
		l.wants("*")
		if n := db.DB.Stats().InUse; n != 1 {
			t.Fatalf("after round %d %d connections are in use, want the check's", i, n)
		}
	}
	tx := begin(t, elsewhere, `INSERT INTO items VALUES (2)`)
	l.wantsQuiet()
	commit(t, tx)
	l.wants("*")
	tx = begin(t, elsewhere, `INSERT INTO items VALUES (3)`)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	l.wantsQuiet()

	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	if n := db.DB.Stats().InUse; n != 0 {
		t.Errorf("after close %d connections are in use", n)
	}
}

func TestDataVersionOfAttachedDatabases(t *testing.T) {
	dsn := sqliteFile(t)
	db, elsewhere := openSQLite(t, dsn), openSQLite(t, "file:"+filepath.Join(t.TempDir(), "other.db"))
	exec(t, elsewhere, `CREATE TABLE items (id int PRIMARY KEY)`)
	var path string
	if err := elsewhere.DB.QueryRowContext(t.Context(), `SELECT file FROM pragma_database_list`).Scan(&path); err != nil {
		t.Fatal(err)
	}
	// Attached on every connection that the pool has.
	exec(t, db, `ATTACH '`+path+`' AS "Other one"`)
	schema := items("items")
	schema.Table.Schema = "Other one"
	check := DataVersion(db)
	if check.group(schema) == check.group(items("items")) {
		t.Error("databases are not told apart")
	}
	l := watch(t, check, schema)
	l.next()
	l.wantsQuiet()
	exec(t, elsewhere, `INSERT INTO items VALUES (1)`)
	l.wants("*")
	l.wantsQuiet()
}

func TestDataVersionNeedsAConnection(t *testing.T) {
	db := openSQLite(t, sqliteFile(t))
	db.DB.SetMaxOpenConns(1)
	err := New(1, DataVersion(db)).Watch(t.Context(), newRecorder("items"))
	wantErr(t, err, "SetMaxOpenConns")
	if !driver.IsPermanent(err) {
		t.Errorf("%v is not permanent", err)
	}

	// A pool without a free connection is waited for, and no longer than allowed.
	db.DB.SetMaxOpenConns(2)
	begin(t, db)
	begin(t, db)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l := watch(t, DataVersion(db), items("items"))
	if _, err := l.look(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	wantErr(t, DataVersion(nil).validate(), "nil")
	wantErr(t, DataVersion(openPostgres(t)).validate(), "DataVersion", "sqlite", "pg")
}
