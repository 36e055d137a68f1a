package bunsource

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/binderyhq/bindery/core/driver"
)

type (
	left struct {
		bun.BaseModel `bun:"table:lefts"`
		ID            int64 `bun:",pk"`
	}
	right struct {
		bun.BaseModel `bun:"table:rights"`
		ID            int64 `bun:",pk"`
	}
)

func TestSnapshotShowsOneState(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		createTable(t, db, left{ID: 1})
		createTable(t, db, right{ID: 1})
		lefts, rights := preparedLoader[left](t, db), preparedLoader[right](t, db)

		// Nothing but the snapshot's own first read can fix the state: the
		// commit comes before any read of the tables.
		snap, release, err := openedIn(t.Context(), lefts)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		mustExec(t, db, "INSERT INTO lefts VALUES (2)")
		mustExec(t, db, "INSERT INTO rights VALUES (2)")

		read := func(ctx context.Context) string {
			t.Helper()
			l, err := lefts.Load(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			r, err := rights.Load(ctx, []driver.Key{driver.KeyOf(1), driver.KeyOf(2)})
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Sprint(len(l), len(r))
		}
		derived, cancel := context.WithCancel(snap)
		defer cancel()
		if got := read(derived); got != "1 1" {
			t.Errorf("the snapshot shows %s rows, want 1 1", got)
		}
		if got := read(t.Context()); got != "2 2" {
			t.Errorf("without the snapshot %s rows, want 2 2", got)
		}
		// A source that follows the database's log asks the same state.
		if got, err := derived.Value(snapshotKey{db.DB}).(*snapshot).Scalar(derived, "SELECT count(*) FROM lefts"); err != nil || got != "1" {
			t.Errorf("count in the snapshot: %q, %v", got, err)
		}
		release()
		release() // harmless
		if _, err := lefts.Load(snap, nil); !errors.Is(err, sql.ErrTxDone) {
			t.Errorf("reading after release: error %v", err)
		}
		if in := db.Stats().InUse; in != 0 {
			t.Errorf("%d connections in use after release", in)
		}
	})
}

// In rollback-journal mode a reader's lock is what makes the snapshot: a writer
// cannot commit before it is released.
func TestSnapshotInRollbackJournalMode(t *testing.T) {
	db := loaderSQLite(t, "_pragma=journal_mode(DELETE)")
	createTable(t, db, left{ID: 1})
	l := preparedLoader[left](t, db)
	snap, release, err := openedIn(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	impatient, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer impatient.Close()
	insert := func() error {
		_, err := impatient.ExecContext(t.Context(), "INSERT INTO lefts VALUES (2)")
		return err
	}
	if _, err := impatient.ExecContext(t.Context(), "PRAGMA busy_timeout = 0"); err != nil {
		t.Fatal(err)
	}
	if err := insert(); err == nil {
		t.Error("a writer committed beside the snapshot")
	}
	rows, err := l.Load(snap, nil)
	if err != nil || len(rows) != 1 {
		t.Errorf("the snapshot shows %d rows, %v; want 1", len(rows), err)
	}
	release()
	if err := insert(); err != nil {
		t.Errorf("after release: %v", err)
	}
}

// A write lock must not be taken for a read, whatever the connections' own
// transactions begin with.
func TestSnapshotTakesNoWriteLock(t *testing.T) {
	db := loaderSQLite(t, walMode, "_txlock=immediate")
	createTable(t, db, left{ID: 1})
	l := preparedLoader[left](t, db)
	_, release, err := openedIn(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	mustExec(t, db, "INSERT INTO lefts VALUES (2)")
}

func TestSnapshotOnAPoolOfOneConnection(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		db.SetMaxOpenConns(1)
		createTable(t, db, left{ID: 1})
		createTable(t, db, right{ID: 1})
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second) // a deadlock would fail, not hang
		defer cancel()
		lefts, rights := NewLoader[left](db), NewLoader[right](db)
		snap, release, err := openedIn(ctx, lefts)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(lefts.refine(snap), rights.refine(snap)); err != nil {
			t.Fatal(err)
		}
		var many []driver.Key
		for i := range 1000 {
			many = append(many, driver.KeyOf(i))
		}
		// Concurrent readers take turns on the one connection.
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				l, err := lefts.Load(snap, many)
				if err != nil || len(l) != 1 {
					t.Errorf("%d rows, %v", len(l), err)
				}
				r, err := rights.Load(snap, nil)
				if err != nil || len(r) != 1 {
					t.Errorf("%d rows, %v", len(r), err)
				}
			})
		}
		wg.Wait()
		release()
		if rows, err := lefts.Load(ctx, many); err != nil || len(rows) != 1 {
			t.Errorf("after release: %d rows, %v", len(rows), err)
		}
	})
}

func TestSnapshotEndsWithItsContext(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		createTable(t, db, left{ID: 1})
		l := preparedLoader[left](t, db)
		ctx, cancel := context.WithCancel(t.Context())
		snap, release, err := openedIn(ctx, l)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := l.Load(snap, nil); err == nil {
			t.Error("reading after cancel: no error")
		}
		release()
		deadline := time.Now().Add(60 * time.Second)
		for db.Stats().InUse > 0 {
			if time.Now().After(deadline) {
				t.Fatal("a connection is still in use")
			}
			time.Sleep(time.Millisecond)
		}
		if _, _, err := openedIn(ctx, l); !errors.Is(err, context.Canceled) {
			t.Errorf("opening with a cancelled context: error %v", err)
		}
	})
}

func TestSnapshotIsReadOnly(t *testing.T) {
	db := loaderPostgres(t)
	createTable(t, db, left{ID: 1})
	l := preparedLoader[left](t, db)
	snap, release, err := openedIn(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	tx := snap.Value(snapshotKey{db.DB}).(*snapshot).tx
	if _, err := snap.Value(snapshotKey{db.DB}).(*snapshot).Scalar(snap, "SELECT pg_current_snapshot()"); err != nil {
		t.Errorf("the snapshot's identity: %v", err)
	}
	if _, err := tx.ExecContext(t.Context(), "INSERT INTO lefts VALUES (2)"); err == nil {
		t.Error("the snapshot took a write")
	}
}

// Each handle has snapshots of its own: one does not read in another's.
func TestSnapshotBelongsToItsHandle(t *testing.T) {
	db, other := loaderSQLite(t, walMode), loaderSQLite(t, walMode)
	createTable(t, db, left{ID: 1})
	createTable(t, other, left{ID: 1}, left{ID: 2})
	snap, release, err := openedIn(t.Context(), preparedLoader[left](t, db))
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if rows, err := preparedLoader[left](t, other).Load(snap, nil); err != nil || len(rows) != 2 {
		t.Errorf("%d rows, %v; want those of the other database", len(rows), err)
	}
	// A second *bun.DB over the same handle does read in it.
	mustExec(t, db, "INSERT INTO lefts VALUES (7)")
	again := bun.NewDB(db.DB, sqlitedialect.New())
	if rows, err := preparedLoader[left](t, again).Load(snap, nil); err != nil || len(rows) != 1 {
		t.Errorf("%d rows, %v; want those of the snapshot", len(rows), err)
	}
}

func TestSnapshotOfAnAttachedDatabase(t *testing.T) {
	type attached struct {
		bun.BaseModel `bun:"table:aux.lefts"`
		ID            int64 `bun:",pk"`
	}
	dir := t.TempDir()
	db := loaderSQLite(t, walMode)
	db.SetMaxOpenConns(1)
	mustExec(t, db, "ATTACH ? AS aux", dir+"/aux.db")
	mustExec(t, db, "PRAGMA aux.journal_mode = WAL")
	mustExec(t, db, "CREATE TABLE aux.lefts (id INTEGER PRIMARY KEY)")
	mustExec(t, db, "INSERT INTO aux.lefts VALUES (1)")
	l := preparedLoader[attached](t, db)
	snap, release, err := openedIn(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	writer, err := sql.Open("sqlite", "file:"+dir+"/aux.db")
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if _, err := writer.ExecContext(t.Context(), "INSERT INTO lefts VALUES (2)"); err != nil {
		t.Fatal(err)
	}
	if rows, err := l.Load(snap, nil); err != nil || len(rows) != 1 {
		t.Errorf("%d rows, %v; want those of the snapshot", len(rows), err)
	}
	if s, _ := l.Schema(); db.Dialect().Name() != dialect.SQLite || s.Table != (driver.Table{Schema: "aux", Name: "lefts"}) {
		t.Errorf("table %+v", s.Table)
	}
}

// openedIn opens a snapshot and returns the context that reads in it.
func openedIn(ctx context.Context, l driver.Snapshotter) (snap context.Context, release func(), err error) {
	s, err := l.Snapshot(ctx)
	if err != nil {
		return nil, nil, err
	}
	return s.Context(ctx), s.Close, nil
}
